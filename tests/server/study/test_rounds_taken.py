"""How many rounds an arm's runs took: from their summaries to the tables."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from server.results.plan import Arm, StudyPlan
from server.results.study import RoundsTaken, StudyResult
from server.study.admitted import rounds_of
from server.study.cells import Cell
from server.study.document import FILE, read_study, to_json
from server.study.table import print_study, tables_of, to_latex

MakeResult = Callable[..., StudyResult]
HEAD = "rounds a run"


def test_of_all_repeats_and_folds_of_an_arm(tmp_path: Path) -> None:
    plan = StudyPlan((Arm("cut short"), Arm("whole")), folds=2, repeats=2)
    taken = {(0, 0): 6, (0, 1): 11, (1, 0): 8, (1, 1): 9}
    for arm in plan.arms:
        for (repeat, fold), rounds in taken.items():
            folder = Cell(arm, repeat, fold).folder(tmp_path)
            folder.mkdir(parents=True)
            own = rounds if arm.name == "cut short" else 12
            (folder / "summary.json").write_text(json.dumps({"rounds": own}))
    assert rounds_of(plan, plan.arms[0], tmp_path) == RoundsTaken(8.5, 6, 11)
    assert rounds_of(plan, plan.arms[1], tmp_path) == RoundsTaken(12, 12, 12)


def on_terminal(result: StudyResult) -> str:
    out = io.StringIO()
    print_study(result, Console(file=out, width=200))
    return out.getvalue()


@pytest.mark.parametrize(
    ("second", "cell"),
    [
        (RoundsTaken(2.5, 2, 3), "2.5 (2 to 3)"),
        (RoundsTaken(5, 5, 5), "5"),
    ],
)
def test_a_terminal_has_them_where_arms_or_runs_differ(
    make_study_result: MakeResult, second: RoundsTaken, cell: str
) -> None:
    result = make_study_result()
    assert HEAD not in on_terminal(result)  # three in all arms
    first, other, *rest = result.arms
    differing = replace(result, arms=(first, replace(other, rounds=second), *rest))
    said = on_terminal(differing)
    assert HEAD in said
    assert cell in said


def test_files_always_have_them(make_study_result: MakeResult) -> None:
    result = make_study_result()
    arms = tables_of(result)[0]
    assert [row[arms.heads.index(HEAD)] for row in arms.rows] == ["3", "3", "3"]
    assert HEAD in to_latex(result)


def test_results_of_earlier_versions_are_read_without_them(
    make_study_result: MakeResult, tmp_path: Path
) -> None:
    result = make_study_result()
    earlier = replace(result, arms=tuple(replace(one, rounds=None) for one in result.arms))
    document = json.loads(to_json(earlier))
    for arm in document["arms"]:
        del arm["rounds"]
    (tmp_path / FILE).write_text(json.dumps(document))
    assert read_study(tmp_path) == earlier
    assert HEAD not in on_terminal(earlier)
    assert tables_of(earlier)[0].rows[0][-2] == "-"
