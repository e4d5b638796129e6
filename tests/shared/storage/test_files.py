"""A file is complete or it is what it was before."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.storage.files import (
    file_lock,
    is_locked,
    is_private,
    keep_private,
    lock_at_once,
    make_private_folder,
    private_files,
    remove_leftovers,
    why_not_ours,
    write_atomically,
    write_private,
    write_text_atomically,
)


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


def test_a_file_that_nobody_needs_is_used_up(file: Path) -> None:
    """The writer finds what it held, and may write over it; a failure loses it and nothing else."""
    file.write_text("old")
    needless = file.with_name("needless")
    needless.write_text("once")
    number = needless.stat().st_ino

    def write(temporary: Path) -> None:
        assert temporary.read_text() == "once"
        assert file.read_text() == "old"
        temporary.write_text("new")

    write_atomically(file, write, instead_of=needless)
    assert (file.read_text(), file.stat().st_ino) == ("new", number)
    assert not needless.exists()
    needless.write_text("again")
    with pytest.raises(OSError, match="full"):
        write_atomically(file, _full, instead_of=needless)
    assert file.read_text() == "new"
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    write_atomically(file, lambda path: path.write_text("last"), instead_of=needless)
    assert file.read_text() == "last"


def _full(temporary: Path) -> None:
    raise OSError("the disk is full")


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


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def _open_umask() -> Iterator[None]:
    """A umask that hides nothing: what is private here is so on purpose."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_open_umask")
def test_a_private_file_is_private_before_it_holds_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    original = os.open

    def noted(path: Path, *rest: int) -> int:
        handle = original(path, *rest)
        seen.append((stat.S_IMODE(os.fstat(handle).st_mode), os.fstat(handle).st_size))
        return handle

    monkeypatch.setattr(os, "open", noted)
    write_private(tmp_path / "key", b"secret")
    assert seen[0] == (0o600, 0)
    assert mode(tmp_path / "key") == 0o600
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert os.listdir(tmp_path) == ["key"]


@pytest.mark.usefixtures("_open_umask")
def test_a_private_file_replaces_one_that_was_open_to_all(file: Path) -> None:
    file.chmod(0o666)
    left = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    left.write_text("half of an open file")
    left.chmod(0o666)
    write_private(file, b"secret")
    assert (mode(file), file.read_bytes()) == (0o600, b"secret")


def test_a_private_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "key").symlink_to("theirs")
    write_private(tmp_path / "key", b"secret")
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert not (tmp_path / "key").is_symlink()


@pytest.mark.usefixtures("_open_umask")
def test_a_private_folder_and_its_new_parents_are_private(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o755)
    make_private_folder(tmp_path / "there" / "a" / "b" / "c")
    assert [mode(tmp_path / "there" / part) for part in ("a", "a/b", "a/b/c")] == [0o700] * 3
    assert mode(tmp_path / "there") == 0o755
    make_private_folder(tmp_path / "there")
    assert mode(tmp_path / "there") == 0o755
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="File exists"):
        make_private_folder(tmp_path / "file")


@pytest.mark.parametrize(
    ("bits", "private"), [(0o700, True), (0o400, True), (0o710, False), (0o604, False)]
)
def test_what_is_private(file: Path, bits: int, private: bool) -> None:
    file.chmod(bits)
    assert is_private(file) is private


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def enter(_: int) -> None:
        with file_lock(tmp_path / "lock"):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            inside[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, range(8)))
    assert most == [1]
    assert mode(tmp_path / "lock") == 0o600


def test_a_lock_that_is_held_is_waited_for_as_long_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, refusal = tmp_path / "lock", RuntimeError("held")
    with lock_at_once(path, refusal):
        with monkeypatch.context() as patched:
            patched.setattr("shared.storage.files.time.sleep", lambda _: pytest.fail("it waits"))
            with pytest.raises(RuntimeError, match="held"), lock_at_once(path, refusal):
                pass
        begun = time.monotonic()
        with pytest.raises(RuntimeError, match="held"), lock_at_once(path, refusal, 0.3):
            pass
        assert time.monotonic() - begun >= 0.3
    with lock_at_once(path, refusal):
        pass


def test_who_looks_whether_a_lock_is_held_leaves_it_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    assert not path.exists()
    with lock_at_once(path, RuntimeError("held")):
        assert is_locked(path)
        assert is_locked(path)
    assert not is_locked(path)
    with path.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_SH)  # somebody else who looks
        assert not is_locked(path)


def test_a_folder_of_another_user_is_named_with_that_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert why_not_ours(tmp_path) is None
    mine = pwd.getpwuid(os.geteuid()).pw_name
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    reason = f"{tmp_path} belongs to {mine}; run this as that user: sudo -u {mine} fedthaw ..."
    assert why_not_ours(tmp_path) == reason


def test_a_user_without_a_name_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the user of a container is on its host."""

    def unknown(number: int) -> object:
        raise KeyError(number)

    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    reason = why_not_ours(tmp_path)
    assert reason is not None
    assert f"belongs to #{owner};" in reason
    assert f"sudo -u '#{owner}' fedthaw" in reason


def test_a_folder_is_kept_private(tmp_path: Path) -> None:
    new, known = tmp_path / "a" / "b", tmp_path / "open"
    assert keep_private(new) is None
    assert [path.stat().st_mode & 0o777 for path in (new, new.parent)] == [0o700, 0o700]
    assert keep_private(new) is None
    known.mkdir()
    known.chmod(0o755)
    assert keep_private(known) == (
        f"{known} was open to others on this machine; it is now its owner's alone (chmod 700)."
    )
    assert known.stat().st_mode & 0o777 == 0o700


def test_what_is_made_meanwhile_is_private(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with private_files():
            (tmp_path / "inside").write_text("x")
        (tmp_path / "after").write_text("x")
    finally:
        os.umask(before)
    assert (tmp_path / "inside").stat().st_mode & 0o077 == 0
    assert (tmp_path / "after").stat().st_mode & 0o044 == 0o044
