"""Files that are either complete or absent."""

from __future__ import annotations

import fcntl
import os
import pwd
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_AGAIN_SECONDS = 0.05


def write_atomically(
    path: Path, write: Callable[[Path], object], *, instead_of: Path | None = None
) -> None:
    """Let `write` fill a temporary neighbour of `path`, flush it to disk, then put it in place.

    The temporary file is `instead_of` where that is given, a file of the same folder that nobody
    needs any more: `write` may write over it. It is gone afterwards, whatever happens. OSError
    (disk full, no permission) leaves `path` as it was and no temporary file behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if instead_of is not None:
            with suppress(FileNotFoundError):  # somebody else has used it up
                os.replace(instead_of, temporary)
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _flush_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left half written in this folder; only its owner may call it."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """`write_atomically` for UTF-8 text."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_private(path: Path, data: bytes) -> None:
    """`write_atomically` for bytes that only the owner may read (0600 from the first byte on)."""

    def write(temporary: Path) -> None:
        temporary.unlink(missing_ok=True)  # a killed process of the same number may have left it
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)

    write_atomically(path, write)


def make_private_folder(path: Path) -> None:
    """Make a folder, and the parents that are missing, for its owner alone (0700).

    A folder that exists stays as it is. Raises OSError.
    """
    if not path.parent.exists():
        make_private_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def keep_private(path: Path) -> str | None:
    """Make a folder for its owner alone, or close one that is there to others (0700).

    A sentence for its owner where it was open, and where it is another user's and stays so; None
    otherwise. Raises OSError.
    """
    if not path.is_dir():
        make_private_folder(path)
        return None
    if is_private(path):
        return None
    if path.stat().st_uid != os.geteuid():
        return (
            f"{path} belongs to another user and is open to others on this machine; its owner "
            "should close it: chmod 700."
        )
    path.chmod(0o700)
    return f"{path} was open to others on this machine; it is now its owner's alone (chmod 700)."


@contextmanager
def private_files() -> Iterator[None]:
    """What this process and its children make meanwhile is for its owner alone (0600, 0700)."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def is_private(path: Path) -> bool:
    """Whether nobody but its owner may do anything with it. Raises OSError."""
    return not path.stat().st_mode & 0o077


def why_not_ours(path: Path) -> str | None:
    """A sentence for who works as another user than the one that the folder belongs to, else None.

    What root writes there its owner could neither read nor replace. Raises OSError.
    """
    owner = path.stat().st_uid
    if owner == os.geteuid():
        return None
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"#{owner}"
    return (
        f"{path} belongs to {name}; run this as that user: sudo -u {shlex.quote(name)} fedthaw ..."
    )


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Wait until no other process or thread holds this lock file, and hold it meanwhile.

    The lock is the operating system's, so it is gone with the process, however that ends.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def lock_at_once(path: Path, refusal: Exception, patience: float = 0.0) -> Iterator[None]:
    """`file_lock`, but raises `refusal` where somebody else holds it for `patience` seconds."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience
    try:
        while not _is_taken(handle):
            if time.monotonic() >= deadline:
                raise refusal
            time.sleep(_AGAIN_SECONDS)
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether somebody holds this lock file. Whoever looks keeps it from others for an instant."""
    if not path.exists():
        return False
    with path.open("a") as handle:
        return not _is_taken(handle.fileno(), fcntl.LOCK_SH)


def _is_taken(handle: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Take the lock, unless somebody else holds it."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
