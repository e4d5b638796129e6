"""A run's folder as an object: its configuration, its rounds and the final model's metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fedthaw.arguments import PathLike, path_of
from fedthaw.ending import RunEnd, run_end
from fedthaw.frames import data_frame
from fedthaw.session import session
from server.run import folder as run_folder
from server.run.ledger import RoundRecord, read_rounds
from server.run.summary import read_summary, readable_summary
from shared.errors import RunError
from shared.metrics.classes.results import ClassMetrics, LabelMetrics
from shared.metrics.summary import BinaryMetrics
from shared.outcome.counts import KIND
from shared.outcome.labels import LabelsOutcome
from shared.run.finished import Calibration, read_finished_run
from shared.settings.config import RunConfig
from shared.storage.json_file import DamagedFile, said, typed

Metrics = BinaryMetrics | ClassMetrics | LabelMetrics
"""Of a finding, of several classes (ordered or not), and of several labels."""
_NOT_IN_A_ROW = frozenset(
    {"auroc", "auroc_bounds", "threshold", "classes", "cuts", "labels", "confusion"}
)
"""What of the metrics a table of rounds has elsewhere, or has not."""


@dataclass(frozen=True)
class Cohort:
    """Metrics of the same model in all sites' patients together, and in each site's."""

    pooled: Metrics
    """As in summary.json, by what the run predicts."""
    sites: Mapping[str, Metrics]
    """By the site's name; nothing but None where its patients are too few to be shown."""


@dataclass(frozen=True)
class Round:
    """One round: a line of the run's ledger."""

    number: int
    phase: str
    trainable: tuple[str, ...]
    """Stages that trained."""
    loss: float | None
    """Training loss, the mean over the sites as their updates are weighted; None: not shown."""
    validation: Cohort
    """Of the model that entered the round."""
    refused: Mapping[str, str]
    """Sites whose update was not used, and why."""
    bytes_down: int
    bytes_up: int
    seconds: float
    record: RoundRecord = field(repr=False)
    """All that the ledger says."""


@dataclass(frozen=True)
class Run:
    """A run, finished or not, as it was when it was opened."""

    folder: Path
    id: str
    config: RunConfig = field(repr=False)
    rounds: tuple[Round, ...] = field(repr=False)
    """Those that are safe on disk, in order."""
    finished: bool
    validation: Cohort | None = field(repr=False)
    """The final model at the sites' validation patients; None until the run is finished."""
    test: Cohort | None = field(repr=False)
    """With `folds`, at the patients held out; else None."""
    missing: Mapping[str, str] = field(repr=False)
    """Sites that did not evaluate the final model, and why."""
    calibration: Calibration | None = field(repr=False)
    """Operating points and recalibration, chosen on the validation patients."""
    end: RunEnd | None = field(repr=False)
    """How the final model came about; None until the run is finished."""

    @property
    def model_path(self) -> Path:
        """The final model for torchvision; ConfigError where the run has none yet."""
        return read_finished_run(self.folder).model

    def report(self, path: PathLike | None = None, *, for_others: bool = False) -> Path:
        """Write the run as one HTML page, by default report.html in its folder.

        `for_others` hides and rounds what others must not see of the owner's patients. Raises
        RunError where a file of the run is damaged or the page cannot be written.
        """
        with session(False):
            from server.report.write import write_report

            out = None if path is None else path_of(path)
            return write_report(self.folder, out, for_others=for_others)

    def to_dataframe(self) -> Any:
        """A pandas.DataFrame of the rounds; ConfigError where pandas is not installed."""
        return data_frame([_row(one) for one in self.rounds], index="round")


def open_run(folder: PathLike) -> Run:
    """Open a run's folder: of a simulation or a coordinator, finished, interrupted or under way.

    ConfigError where it is not a run's, RunError where a file in it is damaged.
    """
    stored = run_folder.open_run(path_of(folder).absolute())
    summary = read_summary(stored.summary) if stored.complete else None
    records = read_rounds(stored.ledger)
    rounds = _rounds(stored.ledger, records)
    with readable_summary(stored.summary):
        return Run(
            folder=stored.path,
            id=stored.run,
            config=stored.config,
            rounds=rounds,
            finished=summary is not None,
            validation=None if summary is None else _cohort(summary["pooled"], summary["site"]),
            test=_test(summary),
            missing={} if summary is None else summary.get("missing", {}),
            calibration=None if summary is None else read_finished_run(stored.path).calibration,
            end=None if summary is None else run_end(stored.config, records, summary),
        )


def metrics_of(values: Mapping[str, Any]) -> Metrics:
    """Metrics as JSON has them, what is unknown left aside; DamagedFile where they are invalid."""
    kind = values.get(KIND)
    if kind is None:
        return typed(dict(values), BinaryMetrics)
    if kind == LabelsOutcome.kind:
        return typed(dict(values), LabelMetrics)
    return typed(dict(values), ClassMetrics)


def _cohort(pooled: Mapping[str, Any], sites: Mapping[str, Mapping[str, Any]]) -> Cohort:
    return Cohort(metrics_of(pooled), {name: metrics_of(own) for name, own in sites.items()})


def _test(summary: Mapping[str, Any] | None) -> Cohort | None:
    test = None if summary is None else summary.get("test")
    return test and _cohort(test["pooled"], test["site"])


def _rounds(ledger: Path, records: Sequence[RoundRecord]) -> tuple[Round, ...]:
    try:
        return tuple(map(_round, records))
    except DamagedFile as error:
        raise RunError(
            f"{ledger} cannot be read as a run's ledger ({said(error)}); restore the file."
        ) from error


def _round(record: RoundRecord) -> Round:
    return Round(
        number=record.round,
        phase=str(record.plan.get("phase", "")),
        trainable=tuple(record.plan.get("trainable", ())),
        loss=record.loss,
        validation=_cohort(
            record.validation, {name: site.metrics for name, site in record.sites.items()}
        ),
        refused=record.refused,
        bytes_down=record.bytes_down,
        bytes_up=record.bytes_up,
        seconds=record.seconds,
        record=record,
    )


def _row(one: Round) -> dict[str, Any]:
    pooled = one.validation.pooled
    low, high = pooled.auroc_ci95 or (None, None)
    return {
        "round": one.number,
        "phase": one.phase,
        "trainable": " ".join(one.trainable),
        "loss": one.loss,
        "auroc": pooled.auroc,
        "auroc_low": low,
        "auroc_high": high,
        **_numbers(pooled),
        "sites": len(one.validation.sites),
        "bytes_down": one.bytes_down,
        "bytes_up": one.bytes_up,
        "seconds": one.seconds,
    }


def _numbers(metrics: Metrics) -> dict[str, float | int | None]:
    """What of them is one number, but for the AUROC."""
    names = [item.name for item in fields(metrics) if not item.name.endswith("_ci95")]
    return {name: getattr(metrics, name) for name in names if name not in _NOT_IN_A_ROW}
