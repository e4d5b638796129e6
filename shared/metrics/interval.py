"""Confidence intervals of the AUROC, from counts alone."""

from __future__ import annotations

import math
from itertools import accumulate

from scipy.special import expit, logit

from shared.metrics.binary import auprc, auroc
from shared.metrics.histogram import Histogram
from shared.metrics.proportion import normal_quantile
from shared.metrics.root import root


def delong_variance(histogram: Histogram) -> float | None:
    """Variance of the AUROC of the binned scores (DeLong et al., Biometrics 1988;44:837-845).

    A positive's placement value is the share of the negatives below it (ties one half), a
    negative's the share of the positives above it; the variance is that of the one over P plus
    that of the other over N. None where a class has fewer than two patients, since its placement
    values then have no sample variance.
    """
    positives: list[int] = histogram.positives.tolist()
    negatives: list[int] = histogram.negatives.tolist()
    count_positives, count_negatives = sum(positives), sum(negatives)
    if count_positives < 2 or count_negatives < 2:
        return None
    # Placement values times 2 N and 2 P are integers, and so exact; `scale` divides that out.
    deviations_of_positives = _squared_deviations(positives, _doubled_below(negatives))
    # Counting the positives below a negative instead of above it mirrors its placement value.
    deviations_of_negatives = _squared_deviations(negatives, _doubled_below(positives))
    scale = (2 * count_positives * count_negatives) ** 2
    part_of_positives = deviations_of_positives / (scale * (count_positives - 1))
    part_of_negatives = deviations_of_negatives / (scale * (count_negatives - 1))
    return part_of_positives + part_of_negatives


def auroc_interval(histogram: Histogram, level: float = 0.95) -> tuple[float, float] | None:
    """Two-sided confidence interval of the AUROC of the binned scores, within [0, 1].

    DeLong's variance on the logit scale (Pepe, The Statistical Evaluation of Medical Tests,
    Oxford 2003, p. 107). Where that variance is zero or has no estimate - AUROC of 0 or 1, all
    scores in one bin, a class with one patient - Newcombe's score interval, so that perfect
    separation of few patients is not taken for certainty. None where a class is missing.
    Raises ValueError for a level outside the open interval 0 to 1.
    """
    normal_quantile(level)
    area = auroc(histogram)
    if area is None:
        return None
    variance = delong_variance(histogram)
    if variance is None or variance == 0 or not 0 < area < 1:
        return newcombe_interval(area, histogram.total_positives, histogram.total_negatives, level)
    half_width = normal_quantile(level) * math.sqrt(variance) / (area * (1 - area))
    low, high = expit(logit(area) - half_width), expit(logit(area) + half_width)
    # Rounding must not push the AUROC out of an interval that is next to a point.
    return min(float(low), area), max(float(high), area)


def auprc_interval(histogram: Histogram, level: float = 0.95) -> tuple[float, float] | None:
    """Two-sided confidence interval of the average precision, within [0, 1].

    The binomial interval of Boyd, Eng and Page (ECML PKDD 2013, LNCS 8190:451-466), the positives
    as its trials, in Wilson's form, which does not shrink to a point at 1. In simulated cohorts of
    30 to 500 patients it held the true value in 95 to 99 %, percentile bootstraps in 68 to 91 %.
    None where a class is missing. Raises ValueError for a level outside the open interval 0 to 1.
    """
    area, positives = auprc(histogram), histogram.total_positives
    square = normal_quantile(level) ** 2
    if area is None:
        return None
    middle = positives * area + square / 2
    spread = math.sqrt(square * (positives * area * (1 - area) + square / 4))
    low, high = (middle - spread) / (positives + square), (middle + spread) / (positives + square)
    return min(max(low, 0.0), area), max(min(high, 1.0), area)


def newcombe_interval(
    area: float, positives: int, negatives: int, level: float = 0.95
) -> tuple[float, float]:
    """Newcombe's score interval of an AUROC, within [0, 1] (Stat Med 2006;25:559-573, method 5).

    All values t with |area - t| <= z sqrt(V(t)). V is the variance of Hanley and McNeil
    (Radiology 1982;143:29-36) under exponential scores, with (P + N) / 2 for either class size
    inside the bracket, which makes it the same when the classes change places:
    V(t) = t (1 - t) / (P N) * [1 + ((P + N) / 2 - 1) ((1 - t) / (2 - t) + t / (1 + t))].
    Raises ValueError for an area outside [0, 1], an empty class, and a level outside the open
    interval 0 to 1.
    """
    if not 0 <= area <= 1:
        raise ValueError(f"The AUROC is {area:g}; it must lie in 0 to 1.")
    if positives < 1 or negatives < 1:
        raise ValueError(
            f"There are {positives} positives and {negatives} negatives; "
            "an AUROC needs one of each or more."
        )
    quantile = normal_quantile(level)
    low = _lower_score_limit(area, positives, negatives, quantile)
    high = 1 - _lower_score_limit(1 - area, positives, negatives, quantile)
    return min(low, area), max(high, area)


def _lower_score_limit(area: float, positives: int, negatives: int, quantile: float) -> float:
    if area == 0:
        return 0.0
    mean_size = (positives + negatives) / 2

    def excess(candidate: float) -> float:
        """(area - t)^2 - z^2 V(t), over 1 - t: else t = 1 were a root whenever the area is 1."""
        bracket = 1 + (mean_size - 1) * (
            (1 - candidate) / (2 - candidate) + candidate / (1 + candidate)
        )
        allowed = quantile**2 * candidate * bracket / (positives * negatives)
        if area == 1:
            return 1 - candidate - allowed
        return (area - candidate) ** 2 / (1 - candidate) - allowed

    return root(excess, 0.0, area)


def _doubled_below(counts: list[int]) -> list[int]:
    """Twice the number of patients in lower bins, plus those in the same bin, for each bin."""
    return [2 * upto - own for upto, own in zip(accumulate(counts), counts, strict=True)]


def _squared_deviations(weights: list[int], values: list[int]) -> int:
    """Sum w times the weighted sum of squared deviations from the mean; exact, so 0 is 0."""
    first = sum(w * v for w, v in zip(weights, values, strict=True))
    second = sum(w * v**2 for w, v in zip(weights, values, strict=True))
    return sum(weights) * second - first**2
