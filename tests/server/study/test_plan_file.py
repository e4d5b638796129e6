"""plan.json, written and read back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from server.results.plan import Arm, StudyPlan
from server.study.document import FILE, PLAN
from server.study.plan_file import KeptPlan, is_new, keep_to_plan, read_kept_plan
from shared.errors import ConfigError, RunError

KEPT = KeptPlan(
    StudyPlan((Arm("first"), Arm("full", {"schedule": "full"}, ("a",))), 3, 2),
    {"rounds": 4, "lr-head": 0.01},
    ("a", "b"),
)


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    keep_to_plan(tmp_path / "study", KEPT)
    assert read_kept_plan(tmp_path / "study") == KEPT
    assert not is_new(tmp_path / "study", KEPT)


def test_a_result_is_removed_where_the_study_grows_and_remembered(tmp_path: Path) -> None:
    keep_to_plan(tmp_path, KEPT)
    (tmp_path / FILE).touch()
    keep_to_plan(tmp_path, KEPT)
    assert (tmp_path / FILE).exists()
    grown = replace(KEPT, plan=replace(KEPT.plan, repeats=3))
    keep_to_plan(tmp_path, grown)
    assert not (tmp_path / FILE).exists()
    assert read_kept_plan(tmp_path) == replace(grown, shown=2, shown_repeats=2)
    with pytest.raises(ConfigError, match="keep them first"):
        is_new(tmp_path, replace(grown, plan=replace(grown.plan, arms=grown.plan.arms[::-1])))


def test_a_result_is_not_replaced_by_one_of_fewer_repeats(tmp_path: Path) -> None:
    fewer = replace(KEPT, plan=replace(KEPT.plan, repeats=1))
    keep_to_plan(tmp_path, KEPT)
    (tmp_path / FILE).touch()
    with pytest.raises(ConfigError, match=r"has a result of 2 repeats.*--repeats 2") as refused:
        keep_to_plan(tmp_path, fewer)
    assert refused.value.exit_code == 2
    assert (tmp_path / FILE).exists()
    assert read_kept_plan(tmp_path) == KEPT
    with pytest.raises(ConfigError, match="other folds"):
        keep_to_plan(tmp_path, replace(KEPT, plan=replace(KEPT.plan, folds=2)))


def test_a_growth_that_has_not_ended_is_taken_back_as_far_as_the_result(tmp_path: Path) -> None:
    """The result of before is in the tables until then, and its study.json is no longer there."""
    keep_to_plan(tmp_path, KEPT)
    (tmp_path / FILE).touch()
    of = {n: replace(KEPT, plan=replace(KEPT.plan, repeats=n)) for n in (1, 3, 4)}
    keep_to_plan(tmp_path, of[4])
    keep_to_plan(tmp_path, of[3])
    with pytest.raises(ConfigError, match=r"has a result of 2 repeats, and 1 would.*--repeats 2"):
        keep_to_plan(tmp_path, of[1])
    keep_to_plan(tmp_path, KEPT)
    assert read_kept_plan(tmp_path) == replace(KEPT, shown=2, shown_repeats=2)


def test_a_study_without_a_result_may_take_fewer_repeats(tmp_path: Path) -> None:
    fewer = replace(KEPT, plan=replace(KEPT.plan, repeats=1))
    keep_to_plan(tmp_path, KEPT)
    keep_to_plan(tmp_path, fewer)
    assert read_kept_plan(tmp_path) == fewer


def test_a_plan_of_before_sites_were_kept_takes_those_that_are_named(tmp_path: Path) -> None:
    keep_to_plan(tmp_path, KEPT)
    document = json.loads((tmp_path / PLAN).read_text(encoding="utf-8"))
    del document["sites"], document["shown"], document["shown_repeats"]
    (tmp_path / PLAN).write_text(json.dumps(document), encoding="utf-8")
    keep_to_plan(tmp_path, KEPT)
    assert read_kept_plan(tmp_path).sites == ("a", "b")
    with pytest.raises(ConfigError, match="of the folders 'a', 'b', and 'a' are given"):
        keep_to_plan(tmp_path, replace(KEPT, sites=("a",)))


@pytest.mark.parametrize("text", ["", "{}", '{"plan": 3, "settings": {}}'])
def test_a_damaged_plan_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / PLAN).write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match="cannot be read as a study's plan"):
        read_kept_plan(tmp_path)
