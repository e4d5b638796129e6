"""The clinical grade of all sites together: whether it may be shown, and at which digits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from server.disclosure.groups import Counts
from server.disclosure.rounding import rounded_interval, rounded_value, significant
from server.disclosure.suppression import below_limit, suppress
from shared.limits import MIN_CELL


def may_be_compared(graded: Mapping[str, Counts], hidden: Collection[str]) -> bool:
    """Whether sums over these sites reveal no small count to a reader who knows all other sites'.

    `graded` has the positives and negatives with a grade by site, `hidden` the sites that are not
    shown.
    """
    own = below_limit(graded, dict.fromkeys(graded, MIN_CELL)) | (set(hidden) & set(graded))
    decision = suppress(graded, own, MIN_CELL)
    # Who else would have to be hidden may be known: a site's patients can all have a grade.
    return decision.hidden == own and decision.shows_totals


def rounded_grade(exact: Mapping[str, Any]) -> Mapping[str, Any]:
    """The clinical grade's entry in summary.json, to the digits that its patients support."""
    patients = exact["positives"] + exact["negatives"]
    paired = exact["difference"]
    return {
        **exact,
        "auroc": rounded_value(exact["auroc"], patients),
        "auroc_ci95": rounded_interval(exact["auroc_ci95"], patients),
        "model_auroc": rounded_value(exact["model_auroc"], patients),
        "difference": paired and _paired(paired, patients),
    }


def _paired(exact: Mapping[str, Any], patients: int) -> Mapping[str, Any]:
    error = exact.get("standard_error")
    return {
        **exact,
        "auroc_a": rounded_value(exact.get("auroc_a"), patients),
        "auroc_b": rounded_value(exact.get("auroc_b"), patients),
        "difference": rounded_value(exact["difference"], patients, error),
        "standard_error": significant(error),
        "ci95": rounded_interval(exact["ci95"], patients, error),
        "z": rounded_value(exact.get("z"), patients),
        "p": significant(exact["p"]),
    }
