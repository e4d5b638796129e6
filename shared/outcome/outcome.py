"""An outcome: all that depends on what is predicted, apart from the metrics of its counts.

Nothing heavy is imported when this file and the outcomes' own are loaded: commands that read a
site's settings alone need the classes' words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from shared.metrics.histogram import Histogram


@dataclass(frozen=True)
class OutcomeClass:
    """One class that a patient may be of."""

    label: int
    """What stands for it in cohorts and batches, from 0."""
    word: str
    """Its key in [data] of site.toml, and its name in tables and sentences."""
    counted_as: str
    """Key of its counts in messages, summaries and files."""


@dataclass(frozen=True)
class Outcome:
    """What is predicted, as the training, the sites' tables, the messages and the files need it."""

    name: str
    classes: tuple[OutcomeClass, ...]
    """In the order in which tables, messages and files have them, and in which patients are
    split."""
    target: Callable[[int], float]
    """A label as the loss takes it."""
    mixed_target: Callable[[Tensor], Tensor]
    """Shares of the classes (N, classes by label), as CutMix makes them, as the loss takes them."""
    loss: Callable[[Tensor, Tensor], Tensor]
    """(logits, targets) -> mean loss ()."""
    probability: Callable[[float], float]
    """Activation: what one logit says, 0 to 1."""
    activation: Callable[[Tensor], Tensor]
    """The same of many, inside a network that is exported."""
    count: Callable[[Sequence[int], Sequence[int]], Histogram]
    """(score bin, label) of each patient -> the counts that leave a site."""
    of_classes: Callable[[Sequence[NDArray[np.int64]]], Histogram]
    """The same from each class's counts by bin, in the order of `classes`; ValueError where no
    patients can have them."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the counts, in the order of `classes`."""
        return tuple(one.counted_as for one in self.classes)
