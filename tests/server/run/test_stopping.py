"""A run ends where its folder has a stop file."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.run.folder import LOCK, ended_before_it_began
from server.run.process import STOP, raise_if_stopped
from shared.errors import RunError


def is_stopped(folder: Path) -> bool:
    try:
        raise_if_stopped(folder)
    except RunError:
        return True
    return False


def test_it_goes_on_until_there_is_such_a_file_of_any_kind(tmp_path: Path) -> None:
    (tmp_path / "start").touch()
    assert not is_stopped(tmp_path)
    (tmp_path / STOP).symlink_to("nowhere")
    assert is_stopped(tmp_path)
    (tmp_path / STOP).unlink()
    assert not is_stopped(tmp_path)
    (tmp_path / STOP).mkdir()
    assert is_stopped(tmp_path)


def test_where_no_folder_can_be_looked_into_nobody_has_stopped_it(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert not any(map(is_stopped, (tmp_path / name for name in ("absent", "a file", "loop"))))


def test_a_stopped_run_says_how_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / STOP).touch()
    with pytest.raises(RunError, match=r"^The run was stopped\. .*is kept;") as caught:
        raise_if_stopped(tmp_path)
    assert f"`fedthaw submit --resume {tmp_path.name}` continues it" in str(caught.value)


def test_a_run_that_was_stopped_before_it_began_leaves_its_folder_free(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    (tmp_path / STOP).touch()
    assert ended_before_it_began(tmp_path)
