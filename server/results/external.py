"""What an evaluation of a finished run on other cohorts found, as types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from server.results.shown import Audience
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.classes.results import ClassMetrics, LabelMetrics
from shared.metrics.histogram import Histogram
from shared.metrics.scored import CalibrationQuality, Estimate
from shared.metrics.summary import BinaryMetrics
from shared.run.finished import OperatingPoint

DEFAULT_POINT = OperatingPoint("default", 0.5)


def _is_share(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


@dataclass(frozen=True)
class Chosen:
    """What the run chose on its own validation patients, before it saw the cohorts.

    `recalibration` is intercept and slope on the logit of a score. `caution` says why nothing of it
    holds for the final model.
    """

    points: tuple[OperatingPoint, ...] = ()
    recalibration: tuple[float, float] | None = None
    caution: str | None = None


@dataclass(frozen=True)
class PointOutcome:
    """A threshold that was chosen elsewhere, applied to these patients; intervals are exact.

    `counts` are true and false positives, true and false negatives; None is not to be shown.
    """

    name: str
    threshold: float
    sensitivity: Estimate
    specificity: Estimate
    positive_predictive_value: Estimate
    negative_predictive_value: Estimate
    counts: tuple[int, int, int, int] | None

    @property
    def shares(self) -> tuple[tuple[str, Estimate], ...]:
        """The four shares by name."""
        return (
            ("sensitivity", self.sensitivity),
            ("specificity", self.specificity),
            ("positive_predictive_value", self.positive_predictive_value),
            ("negative_predictive_value", self.negative_predictive_value),
        )

    @property
    def title(self) -> str:
        """What the threshold was chosen for, in words."""
        if self.name == DEFAULT_POINT.name:
            return "default threshold"
        if self.name == "youden":
            return "maximum Youden index"
        kind, _, share = self.name.partition("-")
        return f"{kind} {float(share):.2f} or more" if _is_share(share) else self.name


@dataclass(frozen=True)
class RocCorner:
    """False and true positive rate where scores of `threshold` or more are positive.

    `threshold` is None where nobody is.
    """

    false_positive_rate: float
    true_positive_rate: float
    threshold: float | None


@dataclass(frozen=True)
class Performance:
    """The model at some patients.

    `metrics` has the object `pooled` of summary.json for them, at a threshold of 0.5. `before` and
    `after` are their calibration without and with the run's recalibration, None without one.
    `counts` are the patients by score bin and class.
    """

    positives: int
    negatives: int
    prevalence: Estimate
    auroc: Estimate
    auprc: Estimate
    points: tuple[PointOutcome, ...]
    before: CalibrationQuality
    after: CalibrationQuality | None
    roc: tuple[RocCorner, ...] = field(repr=False)
    counts: Histogram = field(repr=False)
    metrics: BinaryMetrics = field(repr=False)

    @property
    def patients(self) -> int:
        """The number of patients of both classes."""
        return self.positives + self.negatives


@dataclass(frozen=True)
class ClassPerformance:
    """The model of several classes or labels at some patients.

    `metrics` is the object `pooled` of summary.json for them, `splits` what curves are drawn of, by
    class, cut or label. `counts` is None for others than the owner.
    """

    metrics: ClassMetrics | LabelMetrics
    splits: Mapping[str, Histogram] = field(repr=False)
    counts: ClassCounts | LabelCounts | None = field(repr=False)


P = TypeVar("P", Performance, ClassPerformance)


@dataclass(frozen=True)
class SubgroupOutcome(Generic[P]):
    """The patients of whom a column says `value`; `performance` is None where not to be shown."""

    column: str
    value: str
    performance: P | None

    @property
    def title(self) -> str:
        """The patients in words."""
        return self.value


@dataclass(frozen=True)
class Cohort(Generic[P]):
    """One cohort, or all together under the name of `ALL`; None as of `SubgroupOutcome`.

    `finding` is the column of its table that has the outcome. `remarks` are sentences on what
    makes the numbers unreliable. `took_part`: it is a site of the run, or may be.
    """

    name: str
    finding: str
    images: int | None
    performance: P | None
    subgroups: tuple[SubgroupOutcome[P], ...] = ()
    remarks: tuple[str, ...] = ()
    took_part: bool = False

    @property
    def title(self) -> str:
        """The patients in words."""
        return self.name


FindingSubgroup = SubgroupOutcome[Performance]
CohortOutcome = Cohort[Performance]
ClassSubgroup = SubgroupOutcome[ClassPerformance]
ClassCohortOutcome = Cohort[ClassPerformance]
ALL = "all cohorts"


@dataclass(frozen=True)
class Evaluation(Generic[P]):
    """A run's final model at cohorts that took no part in it.

    `name` is that of the run's folder, `run` its identity. `pooled` is None of one cohort.
    """

    run: str
    name: str
    audience: Audience
    chosen: Chosen
    cohorts: tuple[Cohort[P], ...]
    pooled: Cohort[P] | None

    @property
    def findings(self) -> tuple[str, ...]:
        """The outcome's name at the cohorts, each once."""
        return tuple(dict.fromkeys(one.finding for one in self.cohorts))

    @property
    def is_external(self) -> bool:
        """Whether no cohort is one of the run's sites, or may be."""
        return not any(one.took_part for one in self.cohorts)

    @property
    def all(self) -> Sequence[Cohort[P]]:
        """The cohorts, and all together where there are several."""
        return (*self.cohorts, *((self.pooled,) if self.pooled else ()))


@dataclass(frozen=True)
class ExternalEvaluation(Evaluation[Performance]):
    """The evaluation of a finding."""


@dataclass(frozen=True)
class ClassEvaluation(Evaluation[ClassPerformance]):
    """The evaluation of several classes or labels."""

    outcome: str = ""
    """As the setting of that name has it."""


AnyEvaluation = ExternalEvaluation | ClassEvaluation
