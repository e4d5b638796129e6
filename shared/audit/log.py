"""An append-only log in which a changed, removed or inserted line shows.

One JSON object a line. Each ends with `chain`, an HMAC-SHA256 over the line and the `chain` of the
line before it, under a key next to the log (`audit.key`). How many lines there are, and the last
`chain`, stand in a second file (`audit.head`), so that a log that was cut short shows too. The head
is there before key and log: where it is missing later, somebody has taken it away, and the next
line says so for good.

Who can read the key can rewrite a log. Who puts back an older copy of both files, which the log
itself is enough to make, takes the latest lines away, and who removes all three files takes all.
Only a copy on another machine shows that: `shared/audit/syslog.py`, or an export.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypedDict

from msgspec import Meta

from shared.storage.files import file_lock, write_private
from shared.storage.json_file import DamagedFile, read_json, typed


def user(environment: Mapping[str, str]) -> str:
    """Who runs this process on this machine, and as whom: `root, by sudo from ann`."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        name = f"user {os.getuid()}"
    before = environment.get("SUDO_USER")
    return f"{name}, by sudo from {before}" if before and before != name else name


_KEY_BYTES = 32
_MARK = b', "chain": "'
_TAIL = len(_MARK) + 64 + len(b'"}')
"""Bytes of a line that its code does not cover: the code itself."""


@dataclass(frozen=True)
class AuditLog:
    """A log with its key and its head, three files side by side."""

    path: Path

    @property
    def key(self) -> Path:
        """The secret under which lines are chained."""
        return self.path.with_suffix(".key")

    @property
    def head(self) -> Path:
        """The number of lines and the last one's code."""
        return self.path.with_suffix(".head")

    @property
    def lock(self) -> Path:
        """Held while a line is appended."""
        return self.path.with_name(f".{self.path.name}.lock")


@dataclass(frozen=True)
class Link:
    """The place of a line in the chain: its number from 1, and its code in hexadecimal digits."""

    number: int
    code: str


START = Link(0, "0" * 64)
"""Before the first line."""
HEADLESS = "headless"
"""Field of a line before which the log's head was missing or damaged."""


class _Head(TypedDict):
    n: int
    chain: Annotated[str, Meta(min_length=64, max_length=64)]


def append(log: AuditLog, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Append an entry with the time and its number; it is on the disk when this returns.

    Readable by this user alone. Returns the line as it was written. Raises OSError.
    """
    with file_lock(log.lock):
        headless = _begin(log)
        key = _own_key(log)
        handle = os.open(log.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "rb+", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            before = _continue_from(log, key, handle, size)
            # After a torn line the new one would be part of it.
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            line: dict[str, Any] = {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "n": before.number + 1,
                **entry,
            }
            if before == START and size:
                # Lines of a version without a chain are covered as a whole.
                line["before"] = _digest_of_start(log.path, size, b"\n" if torn else b"")
            if headless:
                line[HEADLESS] = True
            body = json.dumps(line).encode()[:-1]
            code = _code(key, before.code, body)
            data = body + _MARK + code.encode() + b'"}\n'
            _write_all(file, b"\n" + data if torn else data)
            os.fsync(handle)
        _write_head(log, Link(before.number + 1, code))
        return line | {"chain": code}


def read(path: Path) -> Iterator[dict[str, Any]]:
    """All entries, the oldest first; a torn line, left by a crash, is passed over."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for text in lines:
            try:
                entry = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, dict):
                yield entry


def parse_line(data: bytes) -> tuple[bytes, int, str] | None:
    """What the code covers, the line's number and its code; None for a line without a chain."""
    data = data.rstrip(b"\n")
    body, tail = data[:-_TAIL], data[-_TAIL:]
    if not (tail.startswith(_MARK) and tail.endswith(b'"}')):
        return None
    try:
        number = json.loads(body + b"}")["n"]
        code = tail[len(_MARK) : -2].decode("ascii")
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (body, number, code) if type(number) is int else None


def read_key(log: AuditLog) -> bytes | None:
    """The log's key, or None where there is none or it is damaged. Raises OSError."""
    try:
        key = bytes.fromhex(log.key.read_text(encoding="ascii").strip())
    except (FileNotFoundError, ValueError):
        return None
    return key if len(key) == _KEY_BYTES else None


def read_head(log: AuditLog) -> Link | None:
    """What the head says, or None where there is none or it is damaged. Raises OSError."""
    try:
        head = typed(read_json(log.head), _Head)
    except (FileNotFoundError, DamagedFile):
        return None
    return Link(head["n"], head["chain"])


def is_next(key: bytes, before: Link, parsed: tuple[bytes, int, str]) -> bool:
    """Whether a line follows the one before it, unchanged."""
    body, number, code = parsed
    expected = _code(key, before.code, body)
    return number == before.number + 1 and hmac.compare_digest(expected.encode(), code.encode())


def _code(key: bytes, before: str, body: bytes) -> str:
    return hmac.new(key, before.encode("ascii") + body, hashlib.sha256).hexdigest()


def _begin(log: AuditLog) -> bool:
    """Write the head of a log that begins; True where one that has begun lacks its head.

    Code that may empty a file of this user, or cut it short, could else begin the log again.
    """
    if read_head(log) is not None:
        return False
    if log.head.exists() or log.key.exists():
        return True
    _write_head(log, START)
    return False


def _own_key(log: AuditLog) -> bytes:
    key = read_key(log)
    if key is None:
        key = secrets.token_bytes(_KEY_BYTES)
        write_private(log.key, f"{key.hex()}\n".encode())
    return key


def _continue_from(log: AuditLog, key: bytes, handle: int, size: int) -> Link:
    """The link that the next line follows: the head's, or the last line's where that is newer.

    A crash between a line and its head leaves the head one behind. Where lines were cut off the
    head is ahead of them, and stays what is followed: the gap shows for good.
    """
    head = read_head(log)
    last = _last_line(handle, size)
    if head is None:
        return Link(last[1], last[2]) if last else START
    if last is not None and is_next(key, head, last):
        return Link(last[1], last[2])
    return head


def _last_line(handle: int, size: int) -> tuple[bytes, int, str] | None:
    """The last line that is part of the chain, sought from the end."""
    window = 2**16
    while True:
        start = max(0, size - window)
        lines = os.pread(handle, size - start, start).split(b"\n")
        for line in reversed(lines[1:] if start else lines):
            if (parsed := parse_line(line)) is not None:
                return parsed
        if start == 0:
            return None
        window *= 4


def _digest_of_start(path: Path, size: int, end: bytes) -> str:
    """Of all that is there, with the `end` of a line that a crash has left without it."""
    with path.open("rb") as file:
        return hashlib.sha256(file.read(size) + end).hexdigest()


def _write_head(log: AuditLog, link: Link) -> None:
    document = json.dumps({"n": link.number, "chain": link.code})
    write_private(log.head, f"{document}\n".encode())


def _write_all(file: Any, data: bytes) -> None:
    while data:  # a disk that is almost full takes a part at first
        data = data[file.write(data) :]
