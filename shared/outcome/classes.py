"""Several classes without an order, of which a patient is of one: a logit each, their softmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from shared.outcome.outcome import Outcome, Scored

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from shared.metrics.classes.counts import ClassCounts


@dataclass(frozen=True)
class ClassesOutcome(Outcome):
    """Nominal classes."""

    kind: ClassVar[str] = "classes"

    @property
    def outputs(self) -> int:
        """A logit for each class."""
        return len(self.names)

    def target(self, label: int) -> list[float]:
        """1 for the class, 0 for the others."""
        return [float(n == label) for n in range(len(self.names))]

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in float32; both (N, classes), targets shares that add up to 1."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits.float(), targets)

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """The softmax."""
        from scipy.special import softmax

        found: NDArray[np.float64] = softmax(logits, axis=1)
        return found

    def activation(self, logits: Tensor) -> Tensor:
        """The softmax."""
        return logits.softmax(dim=1)

    def explained(self, logits: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """The highest logit."""
        highest, which = logits.max(dim=1)
        return highest, tuple(which.tolist())

    def by_name(self, scores: Sequence[float]) -> tuple[float, ...]:
        """The scores themselves."""
        return tuple(scores)

    def predicted(self, scores: Sequence[float]) -> int:
        """The class of the highest score, of equal ones the first."""
        return max(range(len(scores)), key=lambda n: scores[n])

    def count(self, patients: Sequence[Scored]) -> ClassCounts:
        """Patients by the bins of their scores, and by predicted class."""
        return count_classes(self, patients)

    def empty(self) -> ClassCounts:
        """The counts of nobody."""
        return no_classes(self)


def count_classes(outcome: Outcome, patients: Sequence[Scored]) -> ClassCounts:
    """The counts of classes that exclude each other."""
    import numpy as np

    from shared.metrics.classes.counts import ClassCounts
    from shared.metrics.histogram import bin_of_probability

    if not patients:
        return no_classes(outcome)
    return ClassCounts.from_bins(
        bin_of_probability(np.array([one.scores for one in patients], dtype=np.float64)),
        [one.label for one in patients],
        [outcome.predicted(one.scores) for one in patients],
        len(outcome.names),
    )


def no_classes(outcome: Outcome) -> ClassCounts:
    """The counts of nobody, of classes that exclude each other."""
    from shared.metrics.classes.counts import ClassCounts

    return ClassCounts.empty(outcome.outputs, len(outcome.names))
