"""evaluation.json: an evaluation on other cohorts, for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from server.results.external import (
    AnyEvaluation,
    Chosen,
    ClassEvaluation,
    ClassPerformance,
    Cohort,
    ExternalEvaluation,
    P,
    Performance,
    PointOutcome,
)
from server.results.shown import Shown
from shared.metrics.scored import CalibrationQuality, Estimate
from shared.run.finished import NOTICE

FORMAT = 1
CHOSEN_ON = "the run's validation patients"


def class_document(shown: Shown[ClassEvaluation]) -> str:
    """The document of several classes or labels; null is undefined or not to be shown."""
    evaluation = shown.value
    document = {
        **_head(evaluation),
        "outcome": evaluation.outcome,
        "cohorts": [_cohort(one, _class_performance) for one in evaluation.cohorts],
        "pooled": evaluation.pooled and _cohort(evaluation.pooled, _class_performance),
    }
    return json.dumps(document, indent=1) + "\n"


def _head(evaluation: AnyEvaluation) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "fedthaw": version("fedthaw"),
        "notice": NOTICE,
        "audience": evaluation.audience.value,
        "run": evaluation.run,
        "run_folder": evaluation.name,
        "finding": list(evaluation.findings),
    }


def _class_performance(found: ClassPerformance | None) -> dict[str, Any]:
    """The object `pooled` of a run's summary.json."""
    return {"shown": False} if found is None else {"shown": True, **found.metrics.to_json()}


def to_json(shown: Shown[ExternalEvaluation]) -> str:
    """The document; null is undefined or not to be shown."""
    evaluation = shown.value
    document = {
        **_head(evaluation),
        "chosen_before": _chosen(evaluation.chosen),
        "cohorts": [_cohort(one, _performance) for one in evaluation.cohorts],
        "pooled": evaluation.pooled and _cohort(evaluation.pooled, _performance),
    }
    return json.dumps(document, indent=1) + "\n"


def _chosen(chosen: Chosen) -> dict[str, Any]:
    fit = chosen.recalibration
    return {
        "on": CHOSEN_ON,
        "operating_points": [
            {"name": point.name, "threshold": point.threshold} for point in chosen.points
        ],
        "recalibration": fit and {"intercept": fit[0], "slope": fit[1]},
        "caution": chosen.caution,
    }


def _cohort(cohort: Cohort[P], as_json: Callable[[P | None], dict[str, Any]]) -> dict[str, Any]:
    return {
        "cohort": cohort.name,
        "finding": cohort.finding,
        "images": cohort.images,
        "remarks": list(cohort.remarks),
        **as_json(cohort.performance),
        "subgroups": [
            {"column": one.column, "group": one.value, **as_json(one.performance)}
            for one in cohort.subgroups
        ],
    }


def _performance(found: Performance | None) -> dict[str, Any]:
    if found is None:
        return {"shown": False}
    return {
        "shown": True,
        "patients": found.patients,
        "positives": found.positives,
        "negatives": found.negatives,
        "prevalence": _estimate(found.prevalence),
        "auroc": _estimate(found.auroc),
        "auprc": _estimate(found.auprc),
        "operating_points": [_point(point) for point in found.points],
        "calibration": {
            "before": _calibration(found.before),
            "after_recalibration": found.after and _calibration(found.after),
        },
        "metrics_at_0.5": found.metrics.to_json(),
    }


def _point(point: PointOutcome) -> dict[str, Any]:
    names = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    return {
        "name": point.name,
        "threshold": point.threshold,
        **{name: _estimate(value) for name, value in point.shares},
        **(dict(zip(names, point.counts, strict=True)) if point.counts else {}),
    }


def _calibration(quality: CalibrationQuality) -> dict[str, Any]:
    return {name: _estimate(value) for name, value in quality.estimates}


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "ci95": estimate.ci95 and list(estimate.ci95)}
