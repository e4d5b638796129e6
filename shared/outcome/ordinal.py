"""Classes in an order, of which a patient is of one: cumulative logits.

The cumulative or proportional-odds family (McCullagh, J R Stat Soc B 1980;42:109-142) without its
common slope: the first output is the logit of P(Y > first class), and each further one lowers it by
its softplus, so that the probabilities of higher classes never exceed those of lower ones, whatever
the network puts out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from shared.outcome.classes import count_classes, no_classes
from shared.outcome.outcome import Outcome, Scored

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from shared.metrics.classes.counts import ClassCounts


@dataclass(frozen=True)
class OrdinalOutcome(Outcome):
    """Classes from the lowest to the highest."""

    kind: ClassVar[str] = "ordinal"

    @property
    def outputs(self) -> int:
        """One less than there are classes: whether a patient is above each but the last."""
        return len(self.names) - 1

    def target(self, label: int) -> list[float]:
        """1 for each class that the patient's is above, 0 for the others but the last."""
        return [float(label > n) for n in range(self.outputs)]

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean binary cross-entropy over patients and thresholds; (N, outputs), or (N,) of one."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        lowered = _cumulative(logits.float().reshape(targets.shape))
        return binary_cross_entropy_with_logits(lowered, targets)

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(Y > each class but the last), which never ascend."""
        import numpy as np
        from scipy.special import expit

        lowered = logits.copy()
        if logits.ndim == 2:
            lowered[:, 1:] = logits[:, :1] - np.cumsum(np.logaddexp(0, logits[:, 1:]), axis=1)
        found: NDArray[np.float64] = expit(lowered)
        return found

    def activation(self, logits: Tensor) -> Tensor:
        """The probability of each class."""
        import torch

        above = _cumulative(logits.reshape(-1, self.outputs)).sigmoid()
        one = torch.ones_like(above[:, :1])
        return torch.cat([one, above], dim=1) - torch.cat([above, one - one], dim=1)

    def explained(self, logits: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """The logit of P(Y > lowest class), which all others follow."""
        first = logits.reshape(-1, self.outputs)[:, 0]
        return first, (0,) * len(first)

    @property
    def explained_names(self) -> tuple[str, ...]:
        """More than the lowest class."""
        return (f"more than {self.names[0]}",)

    def explained_probability(self, scores: Sequence[float], which: int) -> float:
        """P(Y > lowest class)."""
        return scores[which]

    def by_name(self, scores: Sequence[float]) -> tuple[float, ...]:
        """The probability of each class, by differences."""
        return tuple(low - high for low, high in pairwise((1.0, *scores, 0.0)))

    def predicted(self, scores: Sequence[float]) -> int:
        """How many classes the patient is above with a probability of one half or more."""
        return sum(score >= 0.5 for score in scores)

    def count(self, patients: Sequence[Scored]) -> ClassCounts:
        """Patients by the bins of their scores, and by predicted class."""
        return count_classes(self, patients)

    def empty(self) -> ClassCounts:
        """The counts of nobody."""
        return no_classes(self)


def _cumulative(raw: Tensor) -> Tensor:
    """Logits of P(Y > class) that never ascend, of the outputs; both (N, outputs)."""
    import torch
    from torch.nn.functional import softplus

    lowered = [raw[:, 0]]
    # One by one: a cumulative sum has no fixed order on a GPU.
    for further in raw.unbind(dim=1)[1:]:
        lowered.append(lowered[-1] - softplus(further))
    return torch.stack(lowered, dim=1)
