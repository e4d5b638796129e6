"""The log-loss of counted scores."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.metrics.calibration import recalibration
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.kinds import Counts
from shared.metrics.histogram import Histogram, bin_logits
from shared.metrics.scores import require_scores

_LEAST_RATIO = 2.706
"""Of the log-likelihoods, twice: by chance one in 20 of slopes that cannot be negative exceeds it
(half of a chi-squared variable with one degree of freedom, the other half being 0)."""


@dataclass(frozen=True)
class LogLoss:
    """Mean negative log-likelihood of the outcome in nats, 0 or more, and its standard error."""

    mean: float
    error: float
    """Of the mean over these patients; 0 of one patient."""


def log_loss(counts: Counts) -> LogLoss | None:
    """Log-loss of the patients, each with the middle logit of the bin; None without patients.

    Of a nominal outcome that of each patient's own class; of an ordinal one the mean over its cuts,
    of labels the mean over those that are known of anybody, as they are trained. The error of such
    a mean is the mean of the errors, which it cannot exceed. A logit beyond +-8 counts as
    +-(8 + 1/64), so one patient adds at most 8.02. Raises ValueError for a histogram of ordinal
    grades.
    """
    if isinstance(counts, Histogram):
        return _of_finding(counts)
    if not isinstance(counts, ClassCounts):
        return _mean(map(_of_finding, counts.histograms))
    if counts.ordinal:
        return _mean(_of_finding(counts.split_by(score)) for score in range(counts.score_count))
    own_class = np.concatenate([counts.scores[k, k] for k in range(counts.classes)])
    return _weighted(own_class, np.tile(np.logaddexp(0.0, -bin_logits()), counts.classes))


def refined_log_loss(counts: Counts) -> float | None:
    """Mean log-loss once intercept and slope, 0 or more, fit these patients; None without any.

    What is left is how well the scores tell the outcomes apart, not how well they are calibrated
    (refinement, Berta et al., arXiv:2501.19195). Of a nominal outcome it is the log-loss itself.
    """
    if isinstance(counts, Histogram):
        return _refined(counts)
    if not isinstance(counts, ClassCounts):
        return _mean_known(map(_refined, counts.histograms))
    if counts.ordinal:
        return _mean_known(_refined(counts.split_by(score)) for score in range(counts.score_count))
    found = log_loss(counts)
    return None if found is None else found.mean


def chance_log_loss(counts: Counts) -> float | None:
    """What the refined log-loss has to be below for the scores to tell these patients apart.

    Scores that say nothing are below it in one cohort of 20: a likelihood-ratio test of the slope,
    which cannot be negative. Of several cuts or labels their mean; of a nominal outcome, whose
    scores are not fitted, the log-loss of the classes' shares. None without any patients.
    """
    if isinstance(counts, Histogram):
        return _chance(counts)
    if not isinstance(counts, ClassCounts):
        return _mean_known(map(_chance, counts.histograms))
    if counts.ordinal:
        return _mean_known(_chance(counts.split_by(score)) for score in range(counts.score_count))
    if not (patients := sum(counts.support)):
        return None
    return -sum(n * math.log(n / patients) for n in counts.support if n) / patients


def _chance(counts: Histogram) -> float | None:
    positives, negatives = counts.total_positives, counts.total_negatives
    if not (patients := positives + negatives):
        return None
    return (_entropy(positives, negatives) - _LEAST_RATIO / 2) / patients


def _refined(counts: Histogram) -> float | None:
    positives, negatives = counts.positives, counts.negatives
    if not (patients := counts.total_positives + counts.total_negatives):
        return None
    fit = recalibration(counts)
    if fit is not None and fit.slope > 0:
        logits = fit.intercept + fit.slope * bin_logits()
        losses = positives * np.logaddexp(0.0, -logits) + negatives * np.logaddexp(0.0, logits)
        return math.fsum(losses) / patients
    in_order = np.flatnonzero(negatives)[-1:].sum() <= np.flatnonzero(positives)[:1].sum()
    if fit is None and in_order:
        # Apart in the right order, but for a bin that both may share: ever steeper fits better.
        both = np.flatnonzero((positives > 0) & (negatives > 0))
        return sum(_entropy(int(positives[n]), int(negatives[n])) for n in both) / patients
    return _entropy(counts.total_positives, counts.total_negatives) / patients


def _entropy(positives: int, negatives: int) -> float:
    """The summed loss of patients who all have the same, best, score."""
    of = positives + negatives
    return -sum(count * math.log(count / of) for count in (positives, negatives) if count)


def _mean_known(parts: Iterable[float | None]) -> float | None:
    known = [one for one in parts if one is not None]
    return math.fsum(known) / len(known) if known else None


def _of_finding(counts: Histogram) -> LogLoss | None:
    require_scores(counts)
    logits = bin_logits()
    losses = np.concatenate([np.logaddexp(0.0, -logits), np.logaddexp(0.0, logits)])
    return _weighted(np.concatenate([counts.positives, counts.negatives]), losses)


def _weighted(weights: NDArray[np.int64], losses: NDArray[np.float64]) -> LogLoss | None:
    patients = sum(weights.tolist())
    if not patients:
        return None
    # Not np.dot: BLAS may add up in another order on another machine, and a choice hangs on it.
    mean = math.fsum(weights * losses) / patients
    squares = math.fsum(weights * (losses - mean) ** 2)
    error = math.sqrt(squares / (patients - 1) / patients) if patients > 1 else 0.0
    return LogLoss(mean, error)


def _mean(parts: Iterable[LogLoss | None]) -> LogLoss | None:
    known = [one for one in parts if one is not None]
    if not known:
        return None
    number = len(known)
    return LogLoss(
        math.fsum(one.mean for one in known) / number,
        math.fsum(one.error for one in known) / number,
    )
