"""The cohorts that a model was evaluated on, from the files of its run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from server.report.data import Cohort, GradeOutcome
from server.report.sight import may_tell
from server.run.evaluation_file import CohortCounts, EvaluationFile
from server.run.ledger import RoundRecord
from shared.metrics.disclosure import Suppression
from shared.metrics.histogram import Histogram
from shared.metrics.summary import BinaryMetrics, summarise, suppressed


def metrics_of(document: Mapping[str, Any]) -> BinaryMetrics:
    """The object of summary.json; what it lacks is None, what it has besides is passed over."""
    names = {item.name for item in dataclasses.fields(BinaryMetrics)}
    values = {key: value for key, value in document.items() if key in names}
    pairs = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return BinaryMetrics(**{**values, **pairs})


def all_cohorts(
    summary: Mapping[str, Any] | None,
    evaluation: EvaluationFile | None,
    records: Sequence[RoundRecord],
    min_cell: int,
) -> tuple[Cohort, ...]:
    """Test patients where there are any, then validation patients.

    Before the run's end the validation patients of the newest round, under the model that
    entered it.
    """
    found = []
    if evaluation is not None:
        for name in sorted(set(evaluation.cohorts) - {"validation"}):
            counts = evaluation.cohorts[name]
            sites = {n: _summarised(own) for n, own in counts.sites.items()}
            found.append(
                _cohort(name, _summarised(counts.pooled), sites, evaluation, summary, min_cell)
            )
    if summary is not None:
        pooled, by_site = summary["pooled"], summary["site"]
    elif records:
        last = records[-1]
        pooled, by_site = last.validation, {n: site.metrics for n, site in last.sites.items()}
        evaluation = None
    else:
        return tuple(found)
    sites = {str(name): metrics_of(own) for name, own in sorted(by_site.items())}
    found.append(_cohort("validation", metrics_of(pooled), sites, evaluation, summary, min_cell))
    return tuple(found)


def _cohort(
    name: str,
    pooled: BinaryMetrics,
    sites: Mapping[str, BinaryMetrics],
    evaluation: EvaluationFile | None,
    summary: Mapping[str, Any] | None,
    min_cell: int,
) -> Cohort:
    """The cohort without what may not be told, by its metrics or by its score counts."""
    told = may_tell(sites, pooled, min_cell)
    covered = told.shows_total_positives and told.shows_total_negatives
    kept = CohortCounts(None)
    if evaluation is not None:
        kept = evaluation.cohorts.get(name, kept)
    return Cohort(
        name=name,
        pooled=pooled if covered else None,
        sites={n: None if n in told.hidden else own for n, own in sites.items()},
        counts=kept.pooled if covered else None,
        site_counts={
            n: own
            for n, own in kept.sites.items()
            if own is not None and n in sites and n not in told.hidden
        },
        grade=_grade((summary or {}).get("covariate", {}).get(name), pooled, told, min_cell),
    )


def _grade(
    document: Mapping[str, Any] | None, pooled: BinaryMetrics, told: Suppression, min_cell: int
) -> GradeOutcome | None:
    """The clinical grade's result, None where it may be that of too few patients.

    Which sites have a grade is not known here, so beside hidden sites all patients must have one.
    """
    if document is None or not (told.shows_total_positives and told.shows_total_negatives):
        return None
    graded = document["positives"], document["negatives"]
    if min(graded) < min_cell or (told.hidden and graded != (pooled.positives, pooled.negatives)):
        return None
    paired = document["difference"] or {}
    return GradeOutcome(
        auroc=document["auroc"],
        auroc_ci95=_pair(document["auroc_ci95"]),
        model_auroc=document["model_auroc"],
        difference=paired.get("difference"),
        difference_ci95=_pair(paired.get("ci95")),
        p=paired.get("p"),
    )


def _pair(limits: Sequence[float] | None) -> tuple[float, float] | None:
    return None if limits is None else (limits[0], limits[1])


def _summarised(counts: Histogram | None) -> BinaryMetrics:
    return suppressed() if counts is None else summarise(counts)
