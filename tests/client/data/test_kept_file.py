from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from client.data.kept_file import remove_partial, write_kept


def test_files_and_folders_are_for_this_user_alone(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        write_kept(tmp_path / "a" / "b" / "c" / "file", b"one")
    finally:
        os.umask(umask)
    for path in (tmp_path / "a").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_a_reader_of_the_old_file_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_kept(path, b"one")
    with path.open("rb") as reader:
        write_kept(path, b"another")
        assert reader.read() == b"one"
    assert path.read_bytes() == b"another"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_kept(tmp_path / "file", b"one")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("client.data.kept_file.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write_kept(tmp_path / "file", b"another")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"one"


def test_only_old_leftovers_go(tmp_path: Path) -> None:
    old, new, gone = (tmp_path / name for name in ("old", "new", "gone"))
    for path in (old, new):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    remove_partial([old, gone, new])
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
