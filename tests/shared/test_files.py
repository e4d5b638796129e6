"""A file is complete or it is what it was before."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.files import remove_leftovers, write_atomically, write_text_atomically


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "result.json"
    path.write_text("before", encoding="utf-8")
    return path


def test_the_new_content_replaces_the_old(file: Path) -> None:
    write_text_atomically(file, "Grüße\n")
    assert file.read_bytes() == "Grüße\n".encode()
    assert list(file.parent.iterdir()) == [file]


def test_the_old_content_is_there_until_the_new_one_is_complete(file: Path) -> None:
    def write(temporary: Path) -> None:
        assert temporary.parent == file.parent
        temporary.write_text("half", encoding="utf-8")
        assert file.read_text(encoding="utf-8") == "before"

    write_atomically(file, write)
    assert file.read_text(encoding="utf-8") == "half"


def test_a_writer_that_fails_changes_nothing(file: Path) -> None:
    def fill_the_disk(temporary: Path) -> None:
        temporary.write_text("half", encoding="utf-8")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, fill_the_disk)
    assert file.read_text(encoding="utf-8") == "before"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fails_late_changes_nothing(
    file: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="Input/output error"):
        write_text_atomically(file, "after")
    assert file.read_text(encoding="utf-8") == "before"
    assert list(file.parent.iterdir()) == [file]


def test_content_is_on_disk_before_it_gets_its_name(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def noted(name: str) -> Callable[..., None]:
        original = getattr(os, name)

        def call(*arguments: object) -> None:
            order.append(name)
            original(*arguments)

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noted(name))
    write_text_atomically(file, "after")
    assert order == ["fsync", "replace", "fsync"]


def test_what_a_killed_process_left_is_removed(file: Path) -> None:
    left: list[Path] = []

    def stop(temporary: Path) -> None:
        left.append(temporary)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(file, stop)
    left[0].write_text("half", encoding="utf-8")  # a killed process cleans nothing up
    (file.parent / ".lock").touch()
    remove_leftovers(file.parent)
    assert sorted(file.parent.iterdir()) == [file.parent / ".lock", file]


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_text_atomically(tmp_path / "absent" / "file", "text")
