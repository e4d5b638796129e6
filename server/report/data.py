"""What the page shows of a run. It holds only what may be shown, so no section can show more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from server.results.ending import Ending
from server.results.signals import Signals
from server.schedule.adaptive import Stretch
from shared.metrics.classes.results import ClassMetrics, LabelMetrics
from shared.metrics.histogram import Histogram
from shared.metrics.summary import BinaryMetrics
from shared.run.finished import Calibration
from shared.settings.config import RunConfig


@dataclass(frozen=True)
class GradeOutcome:
    """The clinical grade and the model in the same patients; `difference` is model minus grade."""

    auroc: float | None
    auroc_ci95: tuple[float, float] | None
    model_auroc: float | None
    difference: float | None
    difference_ci95: tuple[float, float] | None
    p: float | None


@dataclass(frozen=True)
class CohortResults:
    """The model at a cohort's patients, "test" or "validation".

    None is not to be shown; `counts` is None too where the run kept no scores.
    """

    name: str
    pooled: BinaryMetrics | None
    sites: Mapping[str, BinaryMetrics | None]
    counts: Histogram | None
    site_counts: Mapping[str, Histogram]
    grade: GradeOutcome | None

    @property
    def title(self) -> str:
        """The patients in words."""
        return patients_in_words(self.name)


@dataclass(frozen=True)
class ClassCohort:
    """The model of several classes or labels at a cohort's patients, "test" or "validation".

    None is not to be shown. `splits` are what curves are drawn of, by class, cut (named after the
    lowest class above it) or label; there are none where the run kept no scores, or all is hidden.
    """

    name: str
    pooled: ClassMetrics | LabelMetrics | None
    sites: Mapping[str, ClassMetrics | LabelMetrics | None]
    splits: Mapping[str, Histogram]
    words: str = ""
    """The patients in words, where the name does not say it."""

    @property
    def title(self) -> str:
        """The patients in words."""
        return self.words or patients_in_words(self.name)


def patients_in_words(cohort: str) -> str:
    """A cohort's patients in words, by its name."""
    return "held-out test patients" if cohort == "test" else f"{cohort} patients"


@dataclass(frozen=True)
class Round:
    """A finished round. `auroc` is of the model that entered it; None is not to be shown."""

    number: int
    trainable: tuple[str, ...]
    phase: str
    loss: float | None
    auroc: float | None
    sites: tuple[str, ...]
    refused: Mapping[str, str]
    absent: tuple[str, ...]
    attempts: int
    bytes_down: int
    bytes_up: int
    bytes_full_exchange: int
    seconds: float
    wait_seconds: float
    signals: Signals | None = None


@dataclass(frozen=True)
class Contribution:
    """What a site gave over all rounds; None is not to be shown."""

    site: str
    rounds: tuple[int, ...]
    images: int | None
    patients: int | None
    weight: float | None
    """Its share of the training images of the rounds it took part in, in the mean."""
    train_seconds: float | None
    evaluate_seconds: float | None
    peak_memory_bytes: int | None
    afresh: tuple[int, ...]
    """Rounds in which it began with a new optimiser, though neither it nor the phase was new."""


@dataclass(frozen=True)
class TrainingData:
    """What all sites together trained on."""

    images: int
    patients: int


@dataclass(frozen=True)
class Totals:
    """Bytes and seconds of the whole run; train and evaluate are summed over the sites."""

    bytes_down: int
    bytes_up: int
    bytes_full_exchange: int
    seconds: float
    train_seconds: float | None
    """None, as for evaluating, where it would reveal hidden sites."""
    evaluate_seconds: float | None
    wait_seconds: float
    peak_memory_bytes: int

    @property
    def bytes_moved(self) -> int:
        """The bytes sent in both directions."""
        return self.bytes_down + self.bytes_up


@dataclass(frozen=True)
class Origin:
    """Where the run comes from: names, versions and digests."""

    created: str
    base_digest: str
    base_source: str
    versions: Mapping[str, str | None]
    files: Mapping[str, str]
    """SHA-256 of the run's files."""


@dataclass(frozen=True)
class Report:
    """A run, finished or not, as far as it may be shown."""

    run: str
    config: RunConfig
    finished: bool
    planned_rounds: int
    rounds: tuple[Round, ...]
    cohorts: tuple[CohortResults, ...]
    """The one to be judged by first."""
    contributions: tuple[Contribution, ...]
    trained_on: TrainingData | None
    """None where it is not to be shown, because it would reveal a single site."""
    missing: Mapping[str, str]
    """Sites that are not in the final evaluation, and why."""
    totals: Totals
    origin: Origin
    min_cell: int
    """0 on the page of who owns all sites."""
    name: str = ""
    """The folder's."""
    finding: str = ""
    """What is predicted, "" where neither the settings nor the sites say."""
    ending: Ending | None = None
    """How the final model came about, None where it is the last round's."""
    stretches: tuple[Stretch, ...] = ()
    """Of schedule=adaptive."""
    beyond_budget: tuple[str, ...] = ()
    """With schedule=dynamics: units that can never train, since round-budget is smaller."""
    chosen: Calibration | None = None
    """Thresholds and temperature of the validation patients; None where the run's folder has none.
    Only where these patients are shown."""
    classes: tuple[ClassCohort, ...] = ()
    """The cohorts of a run with several classes or labels, which has no others; the one to be
    judged by first."""

    @property
    def cohort(self) -> CohortResults | None:
        """The one to be judged by, None where nothing was evaluated yet."""
        return self.cohorts[0] if self.cohorts else None
