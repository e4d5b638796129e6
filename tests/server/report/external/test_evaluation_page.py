"""The page of an evaluation: names of cohorts, columns and values may be anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from server.report.external.page import evaluation_page
from server.results.shown import Shown

HOSTILE = "</title><script>alert(1)</script>\u202e"
Make = Callable[..., Any]


def test_title_says_finding_and_run_and_the_sections_are_the_cohorts(
    cohort: Make, evaluation: Make, read_page: Make, tables: Make
) -> None:
    found = evaluation(
        cohort("north", {"F": (30, 40), "M": (20, 60)}), cohort("east", {"F": (20, 20)}, seed=1)
    )
    page = evaluation_page(Shown(found))
    assert "<title>pneumonia (1): external validation of first</title>" in page
    headings = re.findall(r"<h2 id[^>]*>([^<]*)</h2>", page)
    assert headings == ["Side by side", "north", "east", "all cohorts", "Reading this page"]
    beside = tables(read_page(page))["The model at each cohort, with 95 % CIs"]
    assert [row[0] for row in beside[1:]] == ["north", "east", "all cohorts"]
    north = found.cohorts[0].performance
    assert beside[1][beside[0].index("AUROC")].startswith(f"{north.auroc.value:.3f}")
    by_sex = tables(read_page(page))["north by sex, with 95 % CIs"]
    assert [row[:3] for row in by_sex[1:]] == [["F", "30", "40"], ["M", "20", "60"]]


def test_a_site_of_the_run_is_no_external_validation(cohort: Make, evaluation: Make) -> None:
    own = replace(cohort("north", {"F": (30, 40)}), took_part=True)
    page = evaluation_page(Shown(evaluation(own)))
    assert "<title>pneumonia (1): evaluation, not external, of first</title>" in page
    for claim in ("external validation", "nothing here is optimistic", "chosen here", "none here"):
        assert claim not in page
    assert "looks better here than it is" in page
    external = evaluation_page(Shown(evaluation(cohort("north", {"F": (30, 40)}))))
    assert "nothing here is optimistic" in external


def test_one_cohort_has_no_comparison(cohort: Make, evaluation: Make) -> None:
    page = evaluation_page(Shown(evaluation(cohort("north", {"F": (30, 40)}))))
    assert "Side by side" not in page
    assert "The model at north, with 95 % CIs" in page


@pytest.mark.parametrize(
    ("shift", "sentence"),
    [(0.3, "the model detected"), (0.0, "did not distinguish"), (-0.3, "below chance")],
)
def test_the_sentence_fits_the_numbers(
    cohort: Make, evaluation: Make, shift: float, sentence: str
) -> None:
    made = cohort("north", {"F": (0, 0)})
    patients = tuple(
        type(patient)("north", str(n), truth, 0.3 + n % 40 / 100 + shift * truth, 1, {})
        for truth in (0, 1)
        for n in range(40)
        for patient in [_any_patient(cohort)]
    )
    scores = replace(made.scores, patients=patients)
    page = evaluation_page(Shown(evaluation(replace(made, scores=scores))))
    assert sentence in page


def _any_patient(cohort: Make) -> Any:
    return cohort("x", {"F": (1, 0)}).scores.patients[0]


def test_text_from_outside_is_text(cohort: Make, evaluation: Make) -> None:
    made = cohort("north", {HOSTILE: (9, 9), "M": (9, 9)}, finding=HOSTILE)
    page = evaluation_page(Shown(evaluation(made, name=HOSTILE)))
    assert "<script" not in page
    assert "\u202e" not in page
    assert "alert(1)" in page


@pytest.mark.parametrize("counts", [(5, 0), (0, 5), (1, 1), (1, 0)])
def test_few_patients_have_a_page_too(
    cohort: Make, evaluation: Make, counts: tuple[int, int]
) -> None:
    found = evaluation(cohort("north", {"F": counts}), cohort("east", {"M": (20, 20)}))
    page = evaluation_page(Shown(found))
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)
    assert "not defined" in page or min(counts) > 0


def test_a_run_without_a_recalibration_says_so(cohort: Make, evaluation: Make) -> None:
    found = evaluation(cohort("north", {"F": (20, 20)}), calibration=None)
    assert "The run chose no recalibration" in evaluation_page(Shown(found))
