"""The page of several classes or labels for others, from the exact files of a simulation.

Cohorts are computed again from each site's counts, which such files have, as a run for others would
have shown them. A round has metrics alone, of all its patients: they are shown where no class or
label has too few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from flwr.app import MetricRecord

from server.disclosure.class_cohorts import shown_classes
from server.disclosure.class_rounding import rounded_classes, rounded_labels
from server.disclosure.classes import ManyCounts
from server.disclosure.cohorts import CohortDecisions, ShownCohort
from server.disclosure.groups import Counts
from server.disclosure.register import Register
from server.disclosure.rounding import rounded_loss
from server.disclosure.run_files import shown_signals, shown_site
from server.disclosure.suppression import Suppression, below_limit, suppress
from server.results.shown import Audience, audience_of
from server.run.evaluation_file import CohortCounts, EvaluationFile
from server.run.folder import RunFolder
from server.run.ledger import RoundRecord
from shared.errors import ConfigError, ProtocolError
from shared.limits import MIN_CELL
from shared.metrics.classes.kinds import patients_by_class
from shared.metrics.classes.results import LabelMetrics, metrics_from_json
from shared.outcome.counts import KIND, hidden_metrics
from shared.outcome.outcome import Outcome
from shared.protocol.counts import counts_from_metrics
from shared.storage.json_file import DamagedFile


def must_be_hidden(folder: RunFolder, min_cell: int) -> bool:
    """Whether a page has to hide more than the run's files do; a `min_cell` of 0 hides nothing.

    ConfigError where it cannot: the counts by site that this takes are in exact files alone.
    """
    if min_cell > MIN_CELL:
        raise ConfigError(
            f"min-cell is {min_cell}; of a run with several classes it cannot be above {MIN_CELL}, "
            "the limit by which its files were written."
        )
    return bool(min_cell) and audience_of(folder.config) is Audience.OWNER


def shown_evaluation_file(
    evaluation: EvaluationFile | None, summary: Mapping[str, Any], folder: RunFolder
) -> tuple[EvaluationFile, Mapping[str, Any]]:
    """Both as others may see them: curves in evaluation.json, metrics in summary.json.

    ConfigError where the file has no counts by site, as one of an earlier version.
    """
    own = evaluation.cohorts if evaluation else {}
    if not own or not all(one.by_site for one in own.values()):
        raise ConfigError(
            f"{folder.path} was written by a version that kept no counts by site, without which "
            "its exact results cannot be made fit for others; run it again, or with "
            "for-others=true."
        )
    outcome = folder.config.predicts
    found = {name: _cohort(name, one, outcome) for name, one in own.items()}
    shown = dict(summary)
    for name, cohort in found.items():
        place = shown if name == "validation" else {}
        place |= {"pooled": cohort.pooled, "site": cohort.sites}
        if name != "validation":
            shown[name] = place
    return EvaluationFile({name: cohort.counts for name, cohort in found.items()}), shown


def _cohort(name: str, kept: CohortCounts, outcome: Outcome) -> ShownCohort:
    try:
        counts = {
            site: cast(ManyCounts, counts_from_metrics(MetricRecord(dict(values)), outcome))
            for site, values in kept.by_site.items()
        }
    except ProtocolError as error:
        raise DamagedFile(f"counts of {name} patients: {error}") from error
    # As sites decide for themselves. Nothing is entered: the owner may have shown all of it before.
    own = {site for site, one in counts.items() if min(patients_by_class(one)) < MIN_CELL}
    alone = CohortDecisions("", "", Register())
    return shown_classes(name, counts, own, dict.fromkeys(counts, ""), outcome, alone)


def class_round_on_page(record: RoundRecord, outcome: Outcome) -> RoundRecord:
    """A round of the ledger as a page for others may show it."""
    counts = {name: _patients(site.metrics) for name, site in record.sites.items()}
    decision, pooled = _decide(counts), hidden_metrics(outcome)
    if decision.shows_totals:
        pooled = _rounded(record.validation, outcome)
    sites = {
        name: shown_site(
            site,
            hidden_metrics(outcome) if name in decision.hidden else _rounded(site.metrics, outcome),
            hidden=name in decision.hidden,
        )
        for name, site in record.sites.items()
    }
    patients = sum(site.patients or 0 for site in record.sites.values())
    return replace(
        record,
        sites=sites,
        loss=rounded_loss(record.loss, patients) if decision.shows_totals and patients else None,
        validation=pooled,
        signals=shown_signals(record.signals, pooled, totals=decision.shows_totals),
    )


def _decide(counts: Mapping[str, Counts]) -> Suppression:
    """Sites are shown or hidden by all classes; nothing is where one has few at all sites."""
    few = any(sum(own) < MIN_CELL for own in zip(*counts.values(), strict=False))
    if few or not counts:
        return Suppression(frozenset(counts), False)
    small = below_limit(counts, dict.fromkeys(counts, MIN_CELL))
    return suppress(counts, small, MIN_CELL)


def _patients(document: Mapping[str, Any]) -> Counts:
    """By class, or of each label with and without it."""
    metrics = metrics_from_json(document)
    if isinstance(metrics, LabelMetrics):
        labels = metrics.labels.values()
        return tuple(n or 0 for one in labels for n in (one.positives, one.negatives))
    return tuple(one.support or 0 for one in metrics.classes.values())


def _rounded(document: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    metrics = metrics_from_json(document)
    every = range(len(outcome.names))
    found = (
        rounded_labels(metrics, every)
        if isinstance(metrics, LabelMetrics)
        else rounded_classes(metrics, every)
    )
    return {KIND: outcome.kind, **found.to_json()}
