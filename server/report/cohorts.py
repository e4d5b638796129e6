"""The cohorts that a model was evaluated on, from the files of its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from server.disclosure.coarse import coarse
from server.disclosure.grades import rounded_grade
from server.disclosure.page import may_show, metrics_of
from server.disclosure.rounding import rounded
from server.disclosure.suppression import Suppression
from server.report.data import CohortResults, GradeOutcome
from server.run.evaluation_file import CohortCounts, EvaluationFile
from server.run.ledger import RoundRecord
from shared.metrics.histogram import Histogram, summed
from shared.metrics.summary import BinaryMetrics, summarise, suppressed


def all_cohorts(
    summary: Mapping[str, Any] | None,
    evaluation: EvaluationFile | None,
    records: Sequence[RoundRecord],
    min_cell: int,
) -> tuple[CohortResults, ...]:
    """Test patients where there are any, then validation patients.

    Before the run's end the validation patients of the newest round, under the model that
    entered it.
    """
    found = []
    if evaluation is not None:
        for name in sorted(set(evaluation.cohorts) - {"validation"}):
            pooled, sites = _test(name, evaluation.cohorts[name], summary)
            found.append(_cohort(name, pooled, sites, evaluation, summary, min_cell))
    if summary is not None:
        whole, by_site = summary["pooled"], summary["site"]
    elif records:
        last = records[-1]
        whole, by_site = last.validation, {n: site.metrics for n, site in last.sites.items()}
        evaluation = None
    else:
        return tuple(found)
    sites = {str(name): metrics_of(own) for name, own in sorted(by_site.items())}
    found.append(_cohort("validation", metrics_of(whole), sites, evaluation, summary, min_cell))
    return tuple(found)


def _cohort(
    name: str,
    pooled: BinaryMetrics,
    sites: Mapping[str, BinaryMetrics],
    evaluation: EvaluationFile | None,
    summary: Mapping[str, Any] | None,
    min_cell: int,
) -> CohortResults:
    """The cohort without what may not be shown, by its metrics or by its score counts."""
    decision = may_show(sites, pooled, min_cell)
    kept = CohortCounts(None)
    if evaluation is not None:
        kept = evaluation.cohorts.get(name, kept)
    by_site = {n: own for n, own in kept.sites.items() if own is not None and n in sites}
    whole = kept.pooled
    if min_cell:
        pooled = rounded(pooled)
        sites = {n: rounded(own) for n, own in sites.items()}
    if decision.hidden and min_cell:
        behind = summed(own for n, own in by_site.items() if n in decision.hidden)
        whole = whole and coarse(whole, behind, min_cell)
        by_site = {n: coarse(own, Histogram.empty(), min_cell) for n, own in by_site.items()}
    return CohortResults(
        name=name,
        pooled=pooled if decision.shows_totals else None,
        sites={n: None if n in decision.hidden else own for n, own in sites.items()},
        counts=whole if decision.shows_totals else None,
        site_counts={n: own for n, own in by_site.items() if n not in decision.hidden},
        grade=_grade((summary or {}).get("covariate", {}).get(name), pooled, decision, min_cell),
    )


def _grade(
    document: Mapping[str, Any] | None, pooled: BinaryMetrics, decision: Suppression, min_cell: int
) -> GradeOutcome | None:
    """The clinical grade's result, None where it may be that of too few patients.

    Which sites have a grade is not known here, so beside hidden sites all patients must have one.
    """
    if document is None or not decision.shows_totals:
        return None
    graded = document["positives"], document["negatives"]
    if min(graded) < min_cell or (
        decision.hidden and graded != (pooled.positives, pooled.negatives)
    ):
        return None
    if min_cell:
        document = rounded_grade(document)
    paired = document["difference"] or {}
    return GradeOutcome(
        auroc=document["auroc"],
        auroc_ci95=_pair(document["auroc_ci95"]),
        model_auroc=document["model_auroc"],
        difference=paired.get("difference"),
        difference_ci95=_pair(paired.get("ci95")),
        p=paired.get("p"),
    )


def _test(
    name: str, counts: CohortCounts, summary: Mapping[str, Any] | None
) -> tuple[BinaryMetrics, dict[str, BinaryMetrics]]:
    """A further cohort's metrics as the summary has them, else those of its counts."""
    own = (summary or {}).get(name)
    if own is None:
        sites = {n: _summarised(one) for n, one in counts.sites.items()}
        return _summarised(counts.pooled), sites
    by_site = sorted(own["site"].items())
    return metrics_of(own["pooled"]), {str(n): metrics_of(one) for n, one in by_site}


def _pair(limits: Sequence[float] | None) -> tuple[float, float] | None:
    return None if limits is None else (limits[0], limits[1])


def _summarised(counts: Histogram | None) -> BinaryMetrics:
    return suppressed() if counts is None else summarise(counts)
