"""A study's page says what its result says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from server.report.study.data import StudyReport
from server.report.study.outcome import study_sentence
from server.report.study.page import study_page
from server.results.study import RoundsTaken, StudyResult

MakeReport = Callable[..., StudyReport]


@pytest.fixture
def page_of(
    read_page: Callable[[str], Any], tables: Callable[[Any], dict[str, list[list[str]]]]
) -> Callable[[StudyReport], tuple[str, dict[str, list[list[str]]]]]:
    def read(report: StudyReport) -> tuple[str, dict[str, list[list[str]]]]:
        root = read_page(study_page(report))
        return root.text, tables(root)

    return read


def test_arms_and_differences(make_study_report: MakeReport, page_of: Any) -> None:
    report = make_study_report()
    text, tables = page_of(report)
    arms = tables["Arms; mean (standard deviation over repeats)"][1:]
    assert [row[:3] for row in arms] == [
        ["first", "30", "30"], ["second", "30", "30"], ["a alone", "12", "12"],
    ]  # fmt: skip
    assert isinstance(report.result, StudyResult)
    for row, one in zip(arms, report.result.arms, strict=True):
        assert one.auroc_ci95 is not None
        low, high = one.auroc_ci95
        assert row[3] == (
            f"{one.auroc.mean:.3f} ({one.auroc.standard_deviation:.3f}) {low:.3f} to {high:.3f}"
        )
    (difference,) = tables["Differences from first; mean (standard deviation over repeats)"][1:]
    (found,) = report.result.comparisons
    assert difference[:2] == ["second", "all sites"]
    assert difference[2].startswith(f"{found.difference.mean:+.3f}")
    assert difference[4:] == ["0.040", f"{found.signed_rank.p:.3f}", "0.500"]
    assert "Not shown: b alone; alone or together with the others" in text


def test_arms_say_how_many_rounds_their_runs_took(
    make_study_report: MakeReport, page_of: Any
) -> None:
    report = make_study_report()
    assert isinstance(report.result, StudyResult)
    first, second, third = report.result.arms
    second = replace(second, rounds=RoundsTaken(7.25, 5, 9))
    third = replace(third, rounds=None)  # of an earlier version
    result = replace(report.result, arms=(first, second, third))
    _, tables = page_of(replace(report, result=result))
    head, *rows = tables["Arms; mean (standard deviation over repeats)"]
    place = head.index("rounds of a run")
    assert [row[place] for row in rows] == ["3", "7.2 (5 to 9)", "-"]


def test_thresholds_are_evaluated_on_held_out_patients(
    make_study_report: MakeReport, page_of: Any
) -> None:
    report = make_study_report()
    _, tables = page_of(report)
    assert isinstance(report.result, StudyResult)
    point = report.result.arms[1].points[0]
    rows = tables["second: thresholds chosen on validation patients, evaluated on held-out ones"]
    assert rows[1][0] == "maximum Youden index"
    assert point.sensitivity is not None
    assert rows[1][1].startswith(f"{point.sensitivity.mean:.3f} (")


def test_groups_of_few_patients_are_joined(make_study_report: MakeReport, page_of: Any) -> None:
    _, tables = page_of(make_study_report(repeats=3))
    rows = tables["Groups of the reliability curve"][1:]
    assert min(float(row[2]) for row in rows) >= 5
    curve = [row for row in tables["Points of the ROC curves"][1:] if row[0] == "a alone"]
    # 24 patients in steps of five or more: four steps at most, and the beginning.
    assert 2 <= len(curve) <= 5


def test_the_sentence_claims_no_more_than_the_tests(
    make_study_result: Callable[..., StudyResult],
) -> None:
    result = make_study_result()
    first = result.arms[0].auroc.mean
    assert f"First detected the finding with an AUROC of {first:.2f} (95 % CI" in study_sentence(
        result
    )
    assert study_sentence(result).endswith("significantly better: second.")
    unsure = replace(result, comparisons=(replace(result.comparisons[0], p_holm=0.05),))
    assert study_sentence(unsure).endswith(
        "no other arm differed significantly from it in these patients."
    )


def test_the_sentence_tells_whose_patients_they_are(
    make_study_result: Callable[..., StudyResult],
) -> None:
    """An arm of one site is evaluated on that site's patients."""
    result = make_study_result()
    assert "two sites, the first evaluated on 60 patients that it" in study_sentence(result)
    alike = replace(result, arms=result.arms[:2])
    assert "two sites, each evaluated on 60 patients that it" in study_sentence(alike)


def test_only_the_names_of_a_weights_file_and_a_teacher_are_shown(
    make_study_report: MakeReport,
) -> None:
    report = make_study_report()
    arms = report.result.plan.arms
    secret = replace(
        arms[1], settings={"weights": "/srv/secret/base.pt", "teacher": "/srv/secret/large"}
    )
    plan = replace(report.result.plan, arms=(arms[0], secret, *arms[2:]))
    page = study_page(replace(report, result=replace(report.result, plan=plan)))
    assert "weights=base.pt, teacher=large" in page
    assert "secret" not in page
