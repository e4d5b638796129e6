"""A run ends where its folder has a stop file."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.run.folder import LOCK, ended_before_it_began
from server.run.process import STOP, raise_if_stopped
from shared.errors import RunError


def test_nothing_is_said_where_nobody_wants_it_stopped(tmp_path: Path) -> None:
    raise_if_stopped(tmp_path)
    raise_if_stopped(tmp_path / "not there yet")
    (tmp_path / "a file").touch()
    raise_if_stopped(tmp_path / "a file")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    raise_if_stopped(tmp_path / "loop")


def test_a_stopped_run_says_how_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / STOP).touch()
    with pytest.raises(RunError, match=r"^The run was stopped\. .*is kept;") as caught:
        raise_if_stopped(tmp_path)
    assert f"`fedthaw submit --resume {tmp_path.name}` continues it" in str(caught.value)


def test_a_run_that_was_stopped_before_it_began_leaves_its_folder_free(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    (tmp_path / STOP).touch()
    assert ended_before_it_began(tmp_path)
