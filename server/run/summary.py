"""summary.json: the stable result of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from server.results.ending import Ending
from server.results.shown import Shown
from server.run.evaluation_file import EvaluationFile
from server.run.ledger import RoundRecord
from shared.errors import RunError
from shared.metrics.histogram import Histogram
from shared.storage.files import write_text_atomically
from shared.storage.json_file import DamagedFile, fitting, read_json, said, typed


@dataclass(frozen=True)
class HeldOutEvaluation:
    """The final model at the patients of the fold that was held out."""

    pooled: Mapping[str, Any]
    sites: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class FinalEvaluation:
    """The final model at the sites' validation patients, and with folds at those held out."""

    pooled: Mapping[str, Any]
    sites: Mapping[str, Mapping[str, Any]]
    missing: Mapping[str, str]
    """Sites that did not answer, and why."""
    bytes_down: int
    bytes_up: int
    bytes_full_exchange: int
    seconds: float
    evaluate_seconds: float
    test: HeldOutEvaluation | None = None
    covariates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By cohort: the clinical grade's AUROC and the model's beside it."""
    counts: Shown[EvaluationFile] | None = None
    validation: Histogram = field(default_factory=Histogram.empty)
    """All sites' validation patients exactly, to calibrate on; all else is as it may be shown."""
    ending: Ending | None = None
    """How the model came about, where it is not the last round's."""


def build_summary(
    run: str,
    base: str,
    rounds: Sequence[RoundRecord],
    final: FinalEvaluation,
    *,
    quick: bool = False,
) -> dict[str, Any]:
    """The document, as design.md describes it.

    `seconds.total` is the coordinator's own clock over all rounds, interruptions left out; train
    and evaluate are summed over the sites; wait is what the coordinator waited for replies. With
    `quick` it says that it was a quick look.
    """
    more: dict[str, Any] = {"quick_look": True} if quick else {}
    if final.test is not None:
        by_site = {name: dict(values) for name, values in sorted(final.test.sites.items())}
        more["test"] = {"pooled": dict(final.test.pooled), "site": by_site}
    if final.covariates:
        more["covariate"] = {cohort: dict(own) for cohort, own in final.covariates.items()}
    if final.ending is not None:
        more["end"] = final.ending.to_json()
    return {
        "run": run,
        "rounds": len(rounds),
        "sites": sorted(final.sites),
        "base": base,
        "pooled": dict(final.pooled),
        "site": {name: dict(values) for name, values in sorted(final.sites.items())},
        "missing": dict(final.missing),
        **more,
        **_cost(rounds, final),
    }


def _cost(rounds: Sequence[RoundRecord], final: FinalEvaluation) -> dict[str, Any]:
    """Bytes, seconds and memory of the rounds and of what came after them."""
    sites = [site for record in rounds for site in record.sites.values()]
    ending = final.ending or Ending((0, 0))
    after = final.seconds + ending.seconds
    return {
        "bytes": {
            "down": sum(record.bytes_down for record in rounds)
            + final.bytes_down
            + ending.bytes_down,
            "up": sum(record.bytes_up for record in rounds) + final.bytes_up + ending.bytes_up,
            "full_exchange": sum(record.bytes_full_exchange for record in rounds)
            + final.bytes_full_exchange,
        },
        "seconds": {
            "total": sum(record.seconds for record in rounds) + after,
            "train": sum(site.train_seconds or 0.0 for site in sites),
            "evaluate": sum(site.evaluate_seconds or 0.0 for site in sites)
            + final.evaluate_seconds
            + ending.evaluate_seconds,
            "wait": sum(record.wait_seconds for record in rounds) + after,
        },
        "peak_memory_bytes": max((site.peak_memory_bytes or 0 for site in sites), default=0),
    }


class _Bytes(TypedDict):
    down: float
    up: float
    full_exchange: float


class _Seconds(TypedDict):
    total: float | None
    train: float | None
    evaluate: float | None
    wait: float | None


_Metrics = dict[str, float | str | list[Any] | dict[str, Any] | None]


class _Summary(TypedDict, total=False):
    """What is read of it, and of what type it is where it is there."""

    run: str
    quick_look: bool
    rounds: int
    sites: list[str]
    pooled: _Metrics
    site: dict[str, _Metrics]
    bytes: _Bytes
    seconds: _Seconds
    peak_memory_bytes: int
    missing: dict[str, str]


def read_summary(path: Path) -> dict[str, Any]:
    """The document of a finished run; RunError where it cannot be read as one."""
    with readable_summary(path):
        summary: dict[str, Any] = read_json(path)
        typed(summary, _Summary)
        return summary


@contextmanager
def readable_summary(path: Path) -> Iterator[None]:
    """RunError where the work with this summary comes upon what does not fit."""
    try:
        with fitting():
            yield
    except BrokenPipeError:  # of who reads what is printed of it
        raise
    except (OSError, DamagedFile) as error:
        raise RunError(
            f"{path} cannot be read as a run's summary ({said(error)}); remove it and continue "
            "the run with --resume, which writes it again."
        ) from error


def write_summary(path: Path, summary: Shown[Mapping[str, Any]]) -> None:
    """Write the document, complete or not at all; RunError where the disk does not take it."""
    try:
        write_text_atomically(path, json.dumps(summary.value, indent=1) + "\n")
    except OSError as error:
        raise RunError(
            f"The summary cannot be written to {path} ({error.strerror}); make room there and "
            "continue with --resume."
        ) from error
