"""The clinical grade beside the model, where it is not that of too few patients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.report.page import run_page
from server.report.read import read_report

pytestmark = pytest.mark.usefixtures("undrawn")
DIFFERENCE = {"difference": 0.1234, "ci95": [0.0111, 0.2222], "p": 0.0305}


def grade(positives: int, negatives: int, difference: Any = None) -> dict[str, Any]:
    return {
        "auroc": 0.5678, "auroc_ci95": [0.4444, 0.6666], "model_auroc": 0.6912,
        "positives": positives, "negatives": negatives, "difference": difference,
    }  # fmt: skip


def page_with(run: Path) -> str:
    return run_page(read_report(run, 5))


def test_grade_model_and_difference(make_run: Callable[..., Path]) -> None:
    """All 61 positives and 102 negatives have a grade, so two hidden sites stay hidden."""
    page = page_with(make_run(covariates={"validation": grade(61, 102, DIFFERENCE)}))
    assert (
        "grade alone has an AUROC of 0.568 (95 % CI 0.444 to 0.667) in those of the "
        "validation patients who have one; the model has 0.691 in the same patients. The "
        "difference is +0.123 (95 % CI 0.011 to 0.222; p = 0.030, DeLong&#x27;s test)."
    ) in page


def test_without_a_test_there_is_no_difference(make_run: Callable[..., Path]) -> None:
    page = page_with(make_run(covariates={"validation": grade(61, 102)}))
    assert "grade alone has an AUROC of 0.568" in page
    assert "The difference is" not in page


@pytest.mark.parametrize(
    ("graded", "hidden"),
    [((60, 102), frozenset({"south", "west"})), ((4, 90), frozenset()), ((90, 4), frozenset())],
)
def test_too_few_patients_are_not_told(
    graded: tuple[int, int], hidden: frozenset[str], make_run: Callable[..., Path]
) -> None:
    page = page_with(make_run(hidden=hidden, covariates={"validation": grade(*graded)}))
    assert "grade alone" not in page


def test_some_without_a_grade_where_nobody_hides(make_run: Callable[..., Path]) -> None:
    run = make_run(covariates={"validation": grade(20, 30)}, hidden=frozenset())
    assert "grade alone" in run_page(read_report(run, 1))
