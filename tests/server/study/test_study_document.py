"""study.json is read back as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from server.results.study import StudyResult
from server.study.document import FILE, PLAN, read_study, to_json
from shared.errors import ConfigError, RunError

MakeResult = Callable[..., StudyResult]


@pytest.mark.parametrize("repeats", [1, 3])
def test_what_is_written_is_read(
    make_study_result: MakeResult, repeats: int, tmp_path: Path
) -> None:
    result = make_study_result(repeats=repeats)
    (tmp_path / FILE).write_text(to_json(result))
    assert read_study(tmp_path) == result


def test_a_study_that_is_not_finished(tmp_path: Path) -> None:
    (tmp_path / PLAN).touch()
    with pytest.raises(ConfigError, match="a study that is not finished"):
        read_study(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"plan": 3}', '{"plan": {"arms": [], "folds": 2}}'])
def test_a_damaged_study(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(RunError, match=r"study\.json cannot be read"):
        read_study(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_folder_that_is_no_studys(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not a study.s folder: it has no plan\.json"):
        read_study(tmp_path / name)
