"""What a study is, its arms, and what it says: their metrics, and differences to the first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from server.results.plan import Arm, StudyPlan
from shared.metrics.reliability import ReliabilityGroup
from shared.metrics.repeats import SignedRank, Spread

Interval = tuple[float, float]


@dataclass(frozen=True)
class PointResult:
    """Held-out patients at thresholds that each run's validation patients chose; over repeats.

    None where a repeat has nobody in question, such as nobody who is called positive.
    """

    name: str
    sensitivity: Spread | None
    specificity: Spread | None
    positive_predictive_value: Spread | None
    negative_predictive_value: Spread | None
    balanced_accuracy: Spread | None


@dataclass(frozen=True)
class RoundsTaken:
    """How many rounds an arm's runs took: with schedule=adaptive each may end early."""

    mean: float
    fewest: int
    most: int


@dataclass(frozen=True)
class ArmResult:
    """One arm over all repeats; each repeat holds out every patient once."""

    arm: Arm
    patients: tuple[int, int]
    """Positive and negative."""
    auroc: Spread
    """Of all held-out scores of a repeat together, over the repeats."""
    auroc_ci95: Interval | None
    """DeLong's interval over patients, its limits averaged over the repeats."""
    balanced_accuracy: Spread
    """At a probability of 0.5, as F1."""
    f1: Spread
    brier: Spread
    brier_calibrated: Spread
    """After the temperature that each run's validation patients chose."""
    points: tuple[PointResult, ...]
    curve: tuple[tuple[float, float], ...]
    """False and true positive rate of all repeats' scores; steps of few patients are joined."""
    reliability: tuple[ReliabilityGroup, ...]
    """Each on average over the repeats, its number of patients too."""
    reliability_calibrated: tuple[ReliabilityGroup, ...]
    megabytes: float
    """Moved by one run on average."""
    rounds: RoundsTaken | None = None
    """None in results of earlier versions."""


@dataclass(frozen=True)
class Comparison:
    """An arm minus the first, in the patients of the sites that both have."""

    arm: Arm
    sites: tuple[str, ...]
    difference: Spread
    ci95: Interval | None
    """From DeLong's variance over patients, and that of the difference between the repeats."""
    p: float | None
    """Of the same two variances."""
    p_holm: float | None
    """Adjusted for the number of arms."""
    signed_rank: SignedRank
    """Over the repeats, with the smallest p that so many of them can give."""


@dataclass(frozen=True)
class GradeResult:
    """The sites' clinical grade, and the first arm in the same held-out patients."""

    patients: tuple[int, int]
    """Positive and negative, who have a grade."""
    auroc: float
    auroc_ci95: Interval | None
    model_auroc: Spread
    difference: Spread
    """Model minus grade."""
    ci95: Interval | None
    p: float | None
    """As of `Comparison`."""


@dataclass(frozen=True)
class Measure:
    """A metric of all held-out patients of a repeat, over the repeats; None where undefined."""

    over_repeats: Spread | None
    ci95: Interval | None
    """The limits averaged over the repeats."""


@dataclass(frozen=True)
class ContrastResult:
    """A class against the rest, the classes from one upward against those below, or a label.

    `name` is the class, the lowest class above the cut, or the label. None is not to be shown, or
    undefined.
    """

    name: str
    positives: int | None
    negatives: int | None
    auroc: Measure
    curve: tuple[tuple[float, float], ...]
    """As of `ArmResult`."""


@dataclass(frozen=True)
class PredictedClass:
    """Of the patients of a class the share that is predicted to be of it; None as above."""

    name: str
    patients: int | None
    sensitivity: Measure
    precision: Measure


@dataclass(frozen=True)
class ClassArm:
    """One arm of a study of several classes or labels; as `ArmResult`."""

    arm: Arm
    patients: int
    """Of labels those of whom the best known one is known; `arm_patients` says the range."""
    auroc: Spread
    """The mean over `contrasts`, of all held-out scores of a repeat together, over the repeats."""
    auroc_ci95: Interval | None
    metrics: Mapping[str, Measure]
    """The others, by their names in summary.json."""
    contrasts: tuple[ContrastResult, ...]
    classes: tuple[PredictedClass, ...]
    """None of labels."""
    megabytes: float
    rounds: RoundsTaken | None = None


AnArm = TypeVar("AnArm", ArmResult, ClassArm)


@dataclass(frozen=True)
class Study(Generic[AnArm]):
    """All arms that may be shown, and all but the first compared with it."""

    plan: StudyPlan
    sites: tuple[str, ...]
    arms: tuple[AnArm, ...]
    comparisons: tuple[Comparison, ...]
    not_shown: tuple[str, ...]
    """Arms that would reveal too few patients of a site, alone or together with the others."""


@dataclass(frozen=True)
class StudyResult(Study[ArmResult]):
    """The results of a study of a finding."""

    grade: GradeResult | None = None
    """None where no site names a grade, or where it would reveal too few patients."""


@dataclass(frozen=True)
class ClassStudyResult(Study[ClassArm]):
    """The results of a study of several classes or labels; comparisons are of the mean AUROC."""

    outcome: str = ""
    """As the setting of that name has it."""
    left_out: tuple[str, ...] = ()
    """Classes or labels with too few patients to be shown; classes with all their patients."""


AnyStudy = StudyResult | ClassStudyResult
