"""A run in a study's folder counts for an arm only where it was trained as that arm says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Here = Callable[..., tuple[int, str, str]]
Words = Callable[..., list[object]]
ONE = '[[arm]]\nname = "first"\n'
SECOND = '[[arm]]\nname = "second"\n'
FULL = SECOND + 'set = { schedule = "full" }\n'


@pytest.fixture
def interrupted(
    two_sites: list[Path], runs: list[str], here: Here, words: Words, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[int, str]]:  # fmt: skip
    """A study of two arms, all of whose runs are there, that never had a result."""
    arms = tmp_path / "arms.toml"

    def study(text: str, *more: object) -> tuple[int, str]:
        arms.write_text(text)
        given = ("--arms", arms, "--repeats", 1, *more)
        code, _, stderr = here(*words(two_sites, tmp_path / "study", *given))
        return code, stderr

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as before_the_result:
        before_the_result.setattr("server.study.gather.study_result", stop)
        assert study(ONE + FULL)[0] == 130
    assert len(runs) == 4
    runs.clear()
    return study


def test_an_arm_that_comes_back_otherwise_is_not_taken_for_what_it_was(
    interrupted: Callable[..., tuple[int, str]], runs: list[str], tmp_path: Path
) -> None:
    """Left out, so that the plan no longer has it, and taken up with other settings."""
    out = tmp_path / "study"
    assert interrupted(ONE)[0] == 0
    result = (out / "study.json").read_bytes()
    code, stderr = interrupted(ONE + SECOND)
    assert code == 2
    assert "repeat-0-fold-0 holds a run of other settings than arm 'second' has" in stderr
    assert "schedule is 'full' there and 'adaptive' here" in stderr
    assert (out / "study.json").read_bytes() == result
    shutil.rmtree(out / "second")
    assert interrupted(ONE + SECOND)[0] == 0
    assert runs == ["second 0 0", "second 0 1"]
    trained = json.loads((out / "second/repeat-0-fold-0/config.json").read_text())["config"]
    assert trained["schedule"] == "adaptive"


def test_an_arm_that_comes_back_as_it_was_keeps_its_runs(
    interrupted: Callable[..., tuple[int, str]], runs: list[str]
) -> None:
    assert interrupted(ONE)[0] == 0
    assert interrupted(ONE + FULL)[0] == 0
    assert runs == []


@pytest.mark.parametrize(
    ("changed", "why"),
    [('sites = ["a"]\n', "its sites are a, b"), ("pooled = true\n", "pooled is False there")],
)
def test_other_sites_or_pooled_data_are_another_run(
    interrupted: Callable[..., tuple[int, str]], runs: list[str], changed: str, why: str
) -> None:
    assert interrupted(ONE)[0] == 0
    code, stderr = interrupted(ONE + FULL + changed)
    assert code == 2
    assert why in stderr
    assert runs == []
