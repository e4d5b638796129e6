"""The cohorts of a run with several classes or labels, as its files show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from server.report.data import ClassCohort
from server.run.evaluation_file import EvaluationFile
from server.run.ledger import RoundRecord
from shared.metrics.classes.results import ClassMetrics, LabelMetrics, metrics_from_json
from shared.outcome.counts import are_hidden


def class_cohorts(
    summary: Mapping[str, Any] | None,
    evaluation: EvaluationFile | None,
    records: Sequence[RoundRecord],
) -> tuple[ClassCohort, ...]:
    """Test patients where there are any, then validation patients.

    Before the run's end the validation patients of the newest round, under the model that entered
    it. Nothing is hidden here: the run has decided what is in its files.
    """
    if summary is None:
        if not records:
            return ()
        last = records[-1]
        sites = {name: site.metrics for name, site in last.sites.items()}
        return (_cohort("validation", last.validation, sites, None),)
    found = [_cohort("validation", summary["pooled"], summary["site"], evaluation)]
    if "test" in summary:
        own = summary["test"]
        found.insert(0, _cohort("test", own["pooled"], own["site"], evaluation))
    return tuple(found)


def _cohort(
    name: str,
    pooled: Mapping[str, Any],
    sites: Mapping[str, Mapping[str, Any]],
    evaluation: EvaluationFile | None,
) -> ClassCohort:
    kept = evaluation.cohorts.get(name) if evaluation else None
    return ClassCohort(
        name=name,
        pooled=_metrics(pooled),
        sites={str(site): _metrics(own) for site, own in sorted(sites.items())},
        splits=kept.splits if kept else {},
    )


def _metrics(document: Mapping[str, Any]) -> ClassMetrics | LabelMetrics | None:
    return None if are_hidden(document) else metrics_from_json(document)
