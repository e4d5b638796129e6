"""A finding that a patient has or has not: one logit, its sigmoid, two classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.outcome.outcome import Outcome, OutcomeClass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from shared.metrics.histogram import Histogram

POSITIVE = OutcomeClass(1, "positive", "positives")
NEGATIVE = OutcomeClass(0, "negative", "negatives")


def _mixed_target(shares: Tensor) -> Tensor:
    return shares[:, POSITIVE.label]


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy in float32; both (N,), targets 0 to 1."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    return binary_cross_entropy_with_logits(logits.float(), targets)


def _probability(logit: float) -> float:
    from scipy.special import expit

    return float(expit(logit))


def _activation(logits: Tensor) -> Tensor:
    return logits.sigmoid()


def _count(bins: Sequence[int], labels: Sequence[int]) -> Histogram:
    from shared.metrics.histogram import Histogram

    return Histogram.from_bins(bins, labels)


def _of_classes(counts: Sequence[NDArray[np.int64]]) -> Histogram:
    from shared.metrics.histogram import Histogram

    positives, negatives = counts
    return Histogram(positives, negatives)


BINARY = Outcome(
    name="binary",
    classes=(POSITIVE, NEGATIVE),
    target=float,
    mixed_target=_mixed_target,
    loss=_loss,
    probability=_probability,
    activation=_activation,
    count=_count,
    of_classes=_of_classes,
)
