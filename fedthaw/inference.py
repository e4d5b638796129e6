"""A finished run's model on other patients: cohorts with outcomes, and single images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from client.predict.named_files import Device, Options, predict_named
from fedthaw.arguments import PathLike, path_of, paths_of
from fedthaw.progress import Progress
from fedthaw.run import Run
from fedthaw.session import session
from shared.errors import ConfigError
from shared.metrics.summary import BinaryMetrics

if TYPE_CHECKING:
    from client.predict.scores import Prediction
    from server.external.cohorts import ScoredCohort
    from server.results.external import (
        ClassCohortOutcome,
        ClassPerformance,
        ClassSubgroup,
        CohortOutcome,
        FindingSubgroup,
        Performance,
    )
    from shared.metrics.classes.results import ClassMetrics, LabelMetrics
    from shared.run.patient_scores import PatientScore


@dataclass(frozen=True)
class Evaluation:
    """The final model at all patients of one cohort."""

    site: str
    """The cohort's name, as its site.toml says."""
    folder: Path
    metrics: BinaryMetrics | ClassMetrics | LabelMetrics
    """At a threshold of 0.5; of several classes or labels as in summary.json."""
    performance: Performance | ClassPerformance = field(repr=False)
    """With intervals, at the run's operating points, before and after its recalibration."""
    subgroups: tuple[FindingSubgroup, ...] | tuple[ClassSubgroup, ...] = field(repr=False)
    """By the columns of `by`."""
    patients: tuple[PatientScore, ...] = field(repr=False)
    """Each patient's class and score; they name patients."""
    remarks: tuple[str, ...] = ()
    """What makes the numbers unreliable, such as that the cohort took part in the run."""


@dataclass(frozen=True)
class Evaluations(Sequence[Evaluation]):
    """The evaluations of all cohorts in order; `pooled` is of all patients, None for one cohort."""

    cohorts: tuple[Evaluation, ...]
    pooled: Performance | ClassPerformance | None
    pooled_subgroups: tuple[FindingSubgroup, ...] | tuple[ClassSubgroup, ...] = ()
    folder: Path | None = None
    """The results, where `out` asked for them."""

    @overload
    def __getitem__(self, index: int) -> Evaluation: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Evaluation, ...]: ...

    def __getitem__(self, index: int | slice) -> Evaluation | tuple[Evaluation, ...]:
        """By the cohort's place."""
        return self.cohorts[index]

    def __len__(self) -> int:
        """How many cohorts there are."""
        return len(self.cohorts)


def evaluate(
    run: Run | PathLike,
    cohorts: PathLike | Iterable[PathLike],
    *,
    by: str | Iterable[str] = (),
    out: PathLike | None = None,
    progress: Progress = True,
) -> Evaluations:
    """Evaluate a finished run's model on site folders that took no part in it, one after the other.

    Args:
        run: A run, or its folder.
        cohorts: Site folders.
        by: Columns of their tables for subgroups; "age:1,5,10" cuts numbers at edges.
        out: A new folder for what `fedthaw evaluate` writes; None writes nothing.
        progress: False shows warnings only.

    All folders are looked at before the first is evaluated. Nothing is hidden: who has the folder
    sees its patients. Raises ConfigError where the run is not finished or a column makes too many
    groups, SiteError where a folder is not a site's, lacks a column, or its data is not valid.

    """
    run_folder, folders = _folder_of(run), [path.absolute() for path in paths_of(cohorts)]
    if not folders:
        raise ConfigError("No cohort is given; name one site folder or more.")
    with session(progress):
        from server.external.subgroups import parse_columns
        from server.local.evaluation import evaluate as run_evaluation

        columns = parse_columns([by] if isinstance(by, str) else list(by))
        place = None if out is None else path_of(out)
        found = run_evaluation(run_folder, folders, columns, out=place, write=place is not None)
    pooled = found.result.pooled
    outcomes: Sequence[CohortOutcome | ClassCohortOutcome] = found.result.cohorts
    return Evaluations(
        cohorts=tuple(
            _evaluation(*one) for one in zip(folders, outcomes, found.scored, strict=True)
        ),
        pooled=pooled.performance if pooled else None,
        pooled_subgroups=pooled.subgroups if pooled else (),
        folder=found.folder,
    )


def _evaluation(
    folder: Path, outcome: CohortOutcome | ClassCohortOutcome, scored: ScoredCohort
) -> Evaluation:
    performance = outcome.performance
    assert performance is not None  # the owner is shown all
    return Evaluation(
        site=outcome.name,
        folder=folder,
        metrics=performance.metrics,
        performance=performance,
        subgroups=outcome.subgroups,
        patients=scored.scores.patients,
        remarks=outcome.remarks,
    )


def predict(
    run: Run | PathLike,
    images: PathLike | Iterable[PathLike],
    *,
    explain: PathLike | None = None,
    operating_point: str | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    max_megapixels: float | None = None,
    patient: str | None = None,
    image: str | None = None,
    progress: Progress = True,
) -> Prediction:
    """Score images with a finished run's model.

    Args:
        run: A run, or its folder.
        images: DICOM, PNG or JPEG files, folders, which are searched, sites' folders, and a table
            (CSV or XLSX) that says which patient each image is of.
        explain: A folder for a Grad-CAM of each image, as PNG and DICOM.
        operating_point: Name of one of the run's; by default its first.
        device: auto takes a GPU where there is one.
        max_megapixels: Larger images are refused.
        patient: The table's column of patients; None guesses it.
        image: The table's column of images; None guesses it.
        progress: False shows warnings only.

    The result names patients and files. An image that cannot be read is among its `refused`, with
    the reason. Raises ConfigError where the run is not finished or knows no such operating point,
    SiteError where no image is found.

    """
    if device not in tuple(Device):
        raise ConfigError(f"device is {device!r}; it must be one of {', '.join(Device)}.")
    options = Options(
        explain=None if explain is None else path_of(explain),
        point=operating_point,
        device=Device(device),
        patient=patient,
        image=image,
    )
    if max_megapixels is not None:
        options = replace(options, maximum_pixels=_pixels(max_megapixels))
    with session(progress):
        return predict_named(_folder_of(run), paths_of(images), options)


def _folder_of(run: Run | PathLike) -> Path:
    return run.folder if isinstance(run, Run) else path_of(run)


def _pixels(megapixels: float) -> int:
    """As `fedthaw predict` takes them."""
    if not 0.01 <= megapixels <= 1000:
        raise ConfigError(f"max_megapixels is {megapixels}; it must lie in 0.01 to 1000.")
    return int(megapixels * 1_000_000)
