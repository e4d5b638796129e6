"""An outcome: all that depends on what is predicted, except the metrics of its counts.

Nothing heavy is imported when this file and the outcomes' own are loaded: commands that read a
site's settings alone need the classes' words.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from shared.metrics.classes.kinds import Counts

Target = float | list[float]
"""A patient's label as the loss takes it: one number, or a fixed number of them."""


@dataclass(frozen=True)
class OutcomeClass:
    """One group that patients are counted, split and sampled by."""

    label: int
    """Its number; of classes that exclude each other what stands for it in cohorts, from 0."""
    word: str
    """Its name in tables and sentences; of the two of a finding its key in [data] of site.toml."""
    counted_as: str
    """Key of its counts in messages, summaries and files."""


class Scored(Protocol):
    """A patient under a model, to be counted."""

    @property
    def label(self) -> int:
        """The label, as the cohort has it."""

    @property
    def bin(self) -> int:
        """The bin of the only score, where there is one."""

    @property
    def scores(self) -> Sequence[float]:
        """Mean probabilities of the patient's images, where there are several."""


@dataclass(frozen=True)
class Outcome(ABC):
    """What is predicted, as the training, the sites' tables, the messages and the files need it.

    A patient's label is one integer, whatever the outcome. `names` are those of the classes or
    labels in their order, which is part of what all sites must agree on.
    """

    names: tuple[str, ...]

    kind: ClassVar[str]
    exclusive: ClassVar[bool] = True
    """Whether a patient is of one class alone, whose number is then the label."""
    every_class: ClassVar[bool] = False
    """Whether a site needs patients of each class to take part."""

    def __str__(self) -> str:
        """As the setting `outcome` has it: `classes: none | mild | severe`."""
        return f"{self.kind}: {' | '.join(self.names)}"

    @property
    def classes(self) -> tuple[OutcomeClass, ...]:
        """In the order in which tables and files have them."""
        return tuple(OutcomeClass(n, name, name) for n, name in enumerate(self.names))

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Logits of the network, and scores of a patient."""

    @property
    def score_names(self) -> tuple[str, ...]:
        """What each of `probabilities_by_name` is of."""
        return self.names

    def holds(self, label: int, one: OutcomeClass) -> bool:
        """Whether a patient with this label is of that class."""
        return label == one.label

    def is_label(self, label: int) -> bool:
        """Whether a patient may have this label."""
        return 0 <= label < len(self.names)

    def merged(self, labels: Collection[int]) -> int | None:
        """The label of a patient of whom several rows say these; None where they contradict."""
        return next(iter(labels)) if len(set(labels)) == 1 else None

    @abstractmethod
    def target(self, label: int) -> Target:
        """A label as the loss takes it; a share of one target and of another is a target too."""

    def sides(self, label: int) -> tuple[bool | None, ...]:
        """For each score whether it should be high of this patient; None where nobody knows."""
        target = self.target(label)
        return tuple(map(bool, target if isinstance(target, list) else [target]))

    @abstractmethod
    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean loss () in float32.

        Logits (N,) of one output, or (N, outputs); targets (N,), or (N, numbers of a target).
        """

    @abstractmethod
    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores 0 to 1 of logits; both (N,) of one output, or (N, outputs)."""

    @abstractmethod
    def activation(self, logits: Tensor) -> Tensor:
        """The same inside a network that is exported, a column for each of `score_names`."""

    def taught(self, logits: Tensor) -> Tensor:
        """What a teacher's logits say, as `loss` takes targets."""
        return self.activation(logits)

    @abstractmethod
    def explained(self, logits: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """The logit of each image (N,) that an explanation is of, and whose it is.

        That is a place in `explained_names`, for each image.
        """

    @property
    def explained_names(self) -> tuple[str, ...]:
        """What explanations are of; "" for the finding."""
        return self.names

    def explained_probability(self, scores: Sequence[float], which: int) -> float:
        """The probability of what is explained."""
        return self.by_name(scores)[which]

    @abstractmethod
    def by_name(self, scores: Sequence[float]) -> tuple[float, ...]:
        """The probability of each of `score_names` from a patient's scores."""

    @abstractmethod
    def predicted(self, scores: Sequence[float]) -> int:
        """The label that a patient's scores say."""

    def said(self, label: int) -> tuple[str, ...]:
        """The names of what a patient with this label has: a class, or any number of labels."""
        return tuple(one.word for one in self.classes if self.holds(label, one))

    @abstractmethod
    def count(self, patients: Sequence[Scored]) -> Counts:
        """The counts that leave a site."""

    @abstractmethod
    def empty(self) -> Counts:
        """The counts of nobody."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the counts, in the order of `classes`."""
        return tuple(one.counted_as for one in self.classes)
