"""From a run's folder to what the page may show, reasons of refusals among it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from server.disclosure.class_page import (
    class_round_on_page,
    must_be_hidden,
    shown_evaluation_file,
)
from server.disclosure.page import ending_on_page, round_on_page
from server.report.chosen import chosen_by
from server.report.class_cohorts import class_cohorts
from server.report.cohorts import all_cohorts
from server.report.contributions import contributions_of, total_of, trained_on
from server.report.data import ClassCohort, CohortResults, Origin, Report, Round, Totals
from server.results.ending import Ending, read_ending
from server.results.shown import Audience, audience_of
from server.run.evaluation_file import FILE as EVALUATION
from server.run.evaluation_file import EvaluationFile, read_evaluation
from server.run.folder import RunFolder, open_run
from server.run.ledger import RoundRecord, planned_rounds, read_rounds
from server.run.summary import read_summary
from server.schedule.adaptive import stretches
from shared.errors import RunError
from shared.limits import MIN_CELL
from shared.outcome.binary import BINARY
from shared.outcome.counts import are_hidden
from shared.settings.config import RunConfig
from shared.storage.json_file import DamagedFile, fitting, read_json, said

_OF_A_FOLDER = re.compile(r"[/\\]|(?<!\w)['\"]")
"""A path, or a name in quotation marks: an image's, which may be a patient's, or a column's."""
LEFT_OUT = "not shown here, as it names the site's own files; see the run's folder"


def shown_reasons(reasons: Mapping[str, str], config: RunConfig) -> dict[str, str]:
    """Reason by site, sorted.

    Deployed sites send sentences that may travel. In a simulation errors are shown in full, to the
    person whose folders these are; who is given the page is another.
    """
    own = bool(config.site_folders)
    return {
        name: LEFT_OUT if own and _OF_A_FOLDER.search(reason) else reason
        for name, reason in sorted(reasons.items())
    }


def read_report(path: Path, min_cell: int | None = None, *, for_others: bool = False) -> Report:
    """What is in a run's folder, finished or not, without what may not be shown.

    A simulation's own page, of which neither `min_cell` nor `for_others` is asked, hides nothing.

    Raises ConfigError where it is not a run's folder, RunError where a file in it is damaged.
    """
    folder = open_run(path)
    own = min_cell is None and not for_others and audience_of(folder.config) is Audience.OWNER
    limit = 0 if own else MIN_CELL if min_cell is None else min_cell
    many = folder.config.predicts != BINARY
    hides = many and must_be_hidden(folder, limit)
    records = read_rounds(folder.ledger)
    summary: Mapping[str, Any] | None = None
    if folder.summary.exists():
        summary = read_summary(folder.summary)
    try:
        with fitting():
            evaluation = read_evaluation(path)
            if hides:
                predicts = folder.config.predicts
                records = [class_round_on_page(record, predicts) for record in records]
                if summary is not None:
                    evaluation, summary = shown_evaluation_file(evaluation, summary, folder)
            elif not many:
                records = [round_on_page(record, limit) for record in records]
            return _report(folder, records, summary, limit, evaluation)
    except DamagedFile as error:
        raise RunError(
            f"The files of {path} cannot be read together ({said(error)}); restore them as the "
            "run wrote them. Were they written by another version?"
        ) from error


def _report(
    folder: RunFolder,
    records: Sequence[RoundRecord],
    summary: Mapping[str, Any] | None,
    min_cell: int,
    evaluation: EvaluationFile | None,
) -> Report:
    many = folder.config.predicts != BINARY
    cohorts = () if many else all_cohorts(summary, evaluation, records, min_cell)
    classes = class_cohorts(summary, evaluation, records) if many else ()
    by_site: list[Mapping[str, object]] = [one.sites for one in cohorts]
    by_site += [one.sites for one in classes]
    silent = {name for sites in by_site for name, shown in sites.items() if shown is None}
    for record in records:
        silent |= {n for n, site in record.sites.items() if are_hidden(site.metrics)}
    origin, finding = _origin(folder)
    return Report(
        run=folder.run,
        config=folder.config,
        finished=summary is not None,
        planned_rounds=len(records) if summary else planned_rounds(folder.config, records),
        rounds=tuple(_round(record, folder.config) for record in records),
        cohorts=cohorts,
        contributions=tuple(
            contributions_of(records, silent, min_cell, folder.config.max_weight_share)
        ),
        trained_on=trained_on(records, silent, min_cell),
        missing=shown_reasons(summary.get("missing", {}), folder.config) if summary else {},
        totals=_totals(summary, records, hides=bool(silent and min_cell)),
        origin=origin,
        min_cell=min_cell,
        name=folder.path.absolute().name,
        finding=finding,
        stretches=tuple(stretches(folder.config, records)),
        beyond_budget=_beyond_budget(folder.config),
        ending=_ending(summary, (*cohorts, *classes), min_cell, folder.config),
        chosen=None if many else chosen_by(folder, evaluation, min_cell),
        classes=classes,
    )


def _beyond_budget(config: RunConfig) -> tuple[str, ...]:
    if config.schedule != "dynamics" or config.round_budget == 1:
        return ()
    # Here, since it takes PyTorch, which no other page needs.
    from server.schedule.check import units_beyond_budget

    return units_beyond_budget(config)


def _ending(
    summary: Mapping[str, Any] | None,
    cohorts: Sequence[CohortResults | ClassCohort],
    min_cell: int,
    config: RunConfig,
) -> Ending | None:
    if summary is None or "end" not in summary:
        return None
    found = read_ending(summary["end"])
    validation = next((one.pooled for one in cohorts if one.name == "validation"), None)
    shown = ending_on_page(found, validation, min_cell)
    if shown.choice is None:
        return shown
    missing = shown_reasons(shown.choice.missing, config)
    return replace(shown, choice=replace(shown.choice, missing=missing))


def _round(record: RoundRecord, config: RunConfig) -> Round:
    return Round(
        number=record.round,
        trainable=tuple(record.plan["trainable"]),
        phase=str(record.plan["phase"]),
        loss=record.loss,
        auroc=record.auroc,
        sites=tuple(sorted(record.sites)),
        refused=shown_reasons(record.refused, config),
        absent=tuple(sorted(record.absent)),
        attempts=record.attempts,
        bytes_down=record.bytes_down,
        bytes_up=record.bytes_up,
        bytes_full_exchange=record.bytes_full_exchange,
        seconds=record.seconds,
        wait_seconds=record.wait_seconds,
        signals=record.signals,
    )


def _totals(
    summary: Mapping[str, Any] | None, records: Sequence[RoundRecord], *, hides: bool
) -> Totals:
    """Bytes and seconds; those of training and evaluating not where some site `hides` its own."""
    if summary is not None:
        size, seconds = summary["bytes"], summary["seconds"]
        return Totals(
            size["down"], size["up"], size["full_exchange"],
            seconds["total"],
            None if hides else seconds["train"],
            None if hides else seconds["evaluate"],
            seconds["wait"],
            summary["peak_memory_bytes"],
        )  # fmt: skip
    sites = [site for record in records for site in record.sites.values()]
    return Totals(
        bytes_down=sum(record.bytes_down for record in records),
        bytes_up=sum(record.bytes_up for record in records),
        bytes_full_exchange=sum(record.bytes_full_exchange for record in records),
        seconds=sum(record.seconds for record in records),
        train_seconds=total_of(site.train_seconds for site in sites),
        evaluate_seconds=total_of(site.evaluate_seconds for site in sites),
        wait_seconds=sum(record.wait_seconds for record in records),
        peak_memory_bytes=max((site.peak_memory_bytes or 0 for site in sites), default=0),
    )


def _origin(folder: RunFolder) -> tuple[Origin, str]:
    """Where the run comes from, and what it predicts as far as anybody has named it."""
    document = read_json(folder.path / "config.json")
    base = document.get("base", {})
    files = (folder.model, folder.summary, folder.path / EVALUATION, folder.ledger)
    origin = Origin(
        created=str(document.get("created", "")),
        base_digest=str(base.get("digest", "")),
        # Only the name of a local file: the page may go where its folders are nobody's business.
        base_source=PurePath(str(base.get("source", ""))).name,
        versions={str(k): v and str(v) for k, v in document.get("versions", {}).items()},
        files={file.name: _sha256(file) for file in files if file.exists()},
    )
    return origin, folder.config.finding or str(document.get("finding", ""))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
