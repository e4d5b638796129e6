"""A finding that a patient has or has not: one logit, its sigmoid, two classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from shared.outcome.outcome import Outcome, OutcomeClass, Scored

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from shared.metrics.histogram import Histogram

POSITIVE = OutcomeClass(1, "positive", "positives")
NEGATIVE = OutcomeClass(0, "negative", "negatives")


@dataclass(frozen=True)
class BinaryOutcome(Outcome):
    """A finding; its classes have the same words everywhere."""

    names: tuple[str, ...] = (POSITIVE.word, NEGATIVE.word)

    kind: ClassVar[str] = "binary"
    every_class: ClassVar[bool] = True

    def __str__(self) -> str:
        """As the setting `outcome` has it."""
        return self.kind

    @property
    def classes(self) -> tuple[OutcomeClass, ...]:
        """The positive class first."""
        return POSITIVE, NEGATIVE

    @property
    def outputs(self) -> int:
        """One logit."""
        return 1

    @property
    def score_names(self) -> tuple[str, ...]:
        """Only the positive class is scored."""
        return (POSITIVE.word,)

    def target(self, label: int) -> float:
        """1 with the finding, 0 without."""
        return float(label)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy in float32; both (N,), targets 0 to 1."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(logits.float(), targets)

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sigmoid."""
        from scipy.special import expit

        found: NDArray[np.float64] = expit(logits)
        return found

    def activation(self, logits: Tensor) -> Tensor:
        """The sigmoid."""
        return logits.sigmoid()

    def explained(self, logits: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """The only logit."""
        return logits, (0,) * len(logits)

    @property
    def explained_names(self) -> tuple[str, ...]:
        """The finding has its name elsewhere."""
        return ("",)

    def by_name(self, scores: Sequence[float]) -> tuple[float, ...]:
        """The score itself."""
        return tuple(scores)

    def predicted(self, scores: Sequence[float]) -> int:
        """Positive from one half on."""
        return int(scores[0] >= 0.5)

    def count(self, patients: Sequence[Scored]) -> Histogram:
        """Patients of either class by the bin of their score."""
        from shared.metrics.histogram import Histogram

        return Histogram.from_bins([one.bin for one in patients], [one.label for one in patients])

    def empty(self) -> Histogram:
        """The histogram of nobody."""
        from shared.metrics.histogram import Histogram

        return Histogram.empty()

    def of_classes(self, counts: Sequence[NDArray[np.int64]]) -> Histogram:
        """The histogram of each class's counts by bin, in the order of `classes`.

        ValueError where no patients can have them.
        """
        from shared.metrics.histogram import Histogram

        positives, negatives = counts
        return Histogram(positives, negatives)


BINARY = BinaryOutcome()
