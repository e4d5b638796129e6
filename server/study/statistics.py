"""From held-out counts and paired comparisons to an arm's row of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import mean

from server.results.plan import Arm
from server.results.study import (
    ArmResult,
    Comparison,
    GradeResult,
    Interval,
    PointResult,
    RoundsTaken,
)
from server.study.held_out import (
    Rates,
    Repeat,
    brier_scores,
    pooled,
    rates_at,
    recalibrated,
)
from server.study.paired import PairedRepeats
from shared.limits import MIN_CELL
from shared.metrics.binary import auroc, balanced_accuracy, f1
from shared.metrics.curve import roc_points
from shared.metrics.histogram import Histogram, summed
from shared.metrics.interval import auroc_interval
from shared.metrics.proportion import wilson_interval
from shared.metrics.reliability import ReliabilityGroup, reliability_curve
from shared.metrics.repeats import Spread, signed_rank, spread

POINTS = ("youden", "sensitivity-0.8", "sensitivity-0.9", "sensitivity-0.95")


def arm_result(
    arm: Arm, repeats: Sequence[Repeat], megabytes: float, rounds: RoundsTaken
) -> ArmResult:
    """An arm's metrics; ValueError where a class is missing among the patients."""
    whole = [pooled(repeat) for repeat in repeats]
    intervals = [interval for one in whole if (interval := auroc_interval(one))]
    briers = [brier_scores(repeat) for repeat in repeats]
    calibrated = [recalibrated(repeat) for repeat in repeats]
    return ArmResult(
        arm=arm,
        patients=whole[0].totals,
        auroc=_spread(auroc(one) for one in whole),
        auroc_ci95=mean_interval(intervals),
        balanced_accuracy=_spread(balanced_accuracy(one) for one in whole),
        f1=_spread(f1(one) for one in whole),
        brier=_spread(raw for raw, _ in briers),
        brier_calibrated=_spread(after for _, after in briers),
        points=tuple(_point(repeats, name) for name in POINTS),
        curve=_curve(whole),
        reliability=_groups(whole),
        reliability_calibrated=_groups(calibrated),
        megabytes=megabytes,
        rounds=rounds,
    )


def comparison(arm: Arm, sites: tuple[str, ...], paired: PairedRepeats) -> Comparison:
    """An arm against the first."""
    return Comparison(
        arm=arm,
        sites=sites,
        difference=spread(paired.differences),
        ci95=paired.ci95,
        p=paired.p,
        p_holm=None,
        signed_rank=signed_rank(paired.differences),
    )


def grade_result(grade: Histogram, paired: PairedRepeats) -> GradeResult:
    """The grade's patients by level, against the first arm."""
    area = auroc(grade)
    assert area is not None  # else there is nothing paired
    return GradeResult(
        patients=grade.totals,
        auroc=area,
        auroc_ci95=auroc_interval(grade),
        model_auroc=spread([model for model, _ in paired.areas]),
        difference=spread(paired.differences),
        ci95=paired.ci95,
        p=paired.p,
    )


def mean_interval(intervals: Sequence[Interval]) -> Interval | None:
    """The limits averaged; None without intervals."""
    if not intervals:
        return None
    return mean(low for low, _ in intervals), mean(high for _, high in intervals)


def _spread(values: Iterable[float | None]) -> Spread:
    return spread([value for value in values if value is not None])


def _point(repeats: Sequence[Repeat], name: str) -> PointResult:
    rates = [rates_at(repeat, name) for repeat in repeats]

    def over(rate: Callable[[Rates], float | None]) -> Spread | None:
        values = [value for one in rates if (value := rate(one)) is not None]
        return spread(values) if len(values) == len(rates) else None

    return PointResult(
        name,
        sensitivity=over(lambda r: r.sensitivity),
        specificity=over(lambda r: r.specificity),
        positive_predictive_value=over(lambda r: r.positive_predictive_value),
        negative_predictive_value=over(lambda r: r.negative_predictive_value),
        balanced_accuracy=over(lambda r: r.balanced_accuracy),
    )


def _curve(whole: Sequence[Histogram]) -> tuple[tuple[float, float], ...]:
    """Each patient stands in it once a repeat, so a step holds that many times `MIN_CELL`."""
    points = roc_points(summed(whole), MIN_CELL * len(whole))
    return tuple((point.false_positive_rate, point.true_positive_rate) for point in points)


def _groups(whole: Sequence[Histogram]) -> tuple[ReliabilityGroup, ...]:
    repeats = len(whole)
    return tuple(
        ReliabilityGroup(
            patients=one.patients / repeats,
            mean_probability=one.mean_probability,
            share_positive=one.share_positive,
            share_ci95=_wilson(one.share_positive, one.patients / repeats),
        )
        for one in reliability_curve(summed(whole), min_cell=MIN_CELL * repeats)
    )


def _wilson(share: float, patients: float) -> Interval:
    """For the number of patients that there are, not for as many as they were scored."""
    whole = round(patients)
    return wilson_interval(round(share * whole), whole)
