"""The chain of an audit log: what is appended is read, and whatever is changed shows."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audit import log as audit_log
from shared.audit.log import AuditLog, append, read
from shared.audit.verify import verify


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    """A log of six entries of uneven length."""
    log = AuditLog(tmp_path / "audit.jsonl")
    for number in range(6):
        append(log, {"number": number, "text": "ä\n" * number})
    return log


def test_entries_are_read_in_order_by_their_owner_alone(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    assert list(read(log.path)) == []
    before = os.umask(0)
    try:
        for number in range(3):
            append(log, {"number": number, "text": "ä\n"})
    finally:
        os.umask(before)
    assert [(entry["n"], entry["number"], entry["text"]) for entry in read(log.path)] == [
        (1, 0, "ä\n"), (2, 1, "ä\n"), (3, 2, "ä\n"),
    ]  # fmt: skip
    assert all(entry["at"].endswith("+00:00") for entry in read(log.path))
    for file in (log.path, log.key, log.head):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_code_of_each_line_is_an_hmac_over_it_and_the_code_before(log: AuditLog) -> None:
    """Computed here from the file's bytes, with nothing of ours."""
    key, before = bytes.fromhex(log.key.read_text().strip()), "0" * 64
    for line in log.path.read_bytes().splitlines():
        body, _, tail = line.rpartition(b', "chain": "')
        expected = hmac.new(key, before.encode() + body, hashlib.sha256).hexdigest()
        assert tail == expected.encode() + b'"}'
        before = expected
    assert json.loads(log.head.read_text()) == {"n": 6, "chain": before}


def test_an_untouched_log_is_intact(log: AuditLog) -> None:
    found = verify(log)
    assert (found.intact, found.entries, found.torn, found.unchained) == (True, 6, 0, 0)


@given(place=st.integers(0, 10**6), value=st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_any_changed_byte_shows(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    log = AuditLog(tmp_path_factory.mktemp("log") / "audit.jsonl")
    for number in range(3):
        append(log, {"number": number})
    data = bytearray(log.path.read_bytes())
    data[place % len(data)] ^= value
    if place % len(data) == len(data) - 1:
        return  # the last line end alone, as a crash would leave it
    log.path.write_bytes(bytes(data))
    assert not verify(log).intact


REMOVALS: list[tuple[str, Callable[[list[bytes]], list[bytes]], str]] = [
    ("first", lambda lines: lines[1:], "numbers 1 to 1"),
    ("middle", lambda lines: lines[:2] + lines[4:], "numbers 3 to 4"),
    ("last", lambda lines: lines[:-1], "1 entry is missing: the log was cut short"),
    ("all but one", lambda lines: lines[:1], "5 entries are missing: the log was cut short"),
    ("all", lambda _: [], "6 entries are missing: the log was cut short"),
    ("swapped", lambda lines: [lines[1], lines[0], *lines[2:]], "numbers 1 to 1"),
    ("copied", lambda lines: [*lines[:3], lines[2], *lines[3:]], "number 3 again"),
]


@pytest.mark.parametrize(
    ("change", "fault"), [r[1:] for r in REMOVALS], ids=[r[0] for r in REMOVALS]
)
def test_removed_and_moved_lines_show_and_go_on_showing(
    log: AuditLog, change: Callable[[list[bytes]], list[bytes]], fault: str
) -> None:
    log.path.write_bytes(b"".join(change(log.path.read_bytes().splitlines(keepends=True))))
    assert fault in " ".join(verify(log).faults)
    append(log, {"number": "later"})
    assert not verify(log).intact
    assert list(read(log.path))[-1]["n"] == 7


def test_a_line_made_up_without_the_key_shows(log: AuditLog) -> None:
    lines = log.path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"number": 3', b'"number": 4')
    log.path.write_bytes(b"".join(lines))
    assert verify(log).faults == ("Line 4 (number 4) was changed, or the line before it was.",)
    log.path.write_bytes(b"".join([*lines, b'{"at": "now", "number": 9}\n']))
    assert any("not part of the chain" in fault for fault in verify(log).faults)


@pytest.mark.parametrize("file", ["key", "head"])
def test_a_lost_key_or_head_shows(log: AuditLog, file: str) -> None:
    getattr(log, file).unlink()
    (fault,) = verify(log).faults
    assert "is missing or damaged" in fault


def test_a_lost_log_shows_where_its_head_is_left(log: AuditLog) -> None:
    log.path.unlink()
    assert "is missing" in verify(log).faults[0]
    assert verify(AuditLog(log.path.with_name("other.jsonl"))).intact


EMPTIED = [("log", "head"), ("log", "head", "key"), ("log", "key"), ("head",)]


@pytest.mark.parametrize("files", EMPTIED, ids=[" and ".join(files) for files in EMPTIED])
@pytest.mark.parametrize("lines", [0, 3])
def test_files_that_were_emptied_or_cut_short_show_for_good(
    log: AuditLog, files: tuple[str, ...], lines: int
) -> None:
    """All that code in the sandbox can do to them, before Linux 6.2: truncate(2) by their names."""
    length = sum(map(len, log.path.read_bytes().splitlines(keepends=True)[:lines]))
    for name in files:
        os.truncate(log.path if name == "log" else getattr(log, name), length * (name == "log"))
    for number in range(2):
        append(log, {"number": f"later {number}"})
    found = verify(log)
    assert not found.intact
    if "key" not in files:
        assert "the log's head was missing or damaged" in found.faults[-1]


def test_a_log_whose_files_were_removed_but_for_its_key_shows_it(log: AuditLog) -> None:
    log.path.unlink()
    log.head.unlink()
    append(log, {"number": "later"})
    (fault,) = verify(log).faults
    assert fault.startswith("Before line 1 the log's head was missing or damaged")


@pytest.mark.parametrize("written", ["head", "key", "a part of the line", "the line"])
def test_a_crash_while_the_first_line_is_written_is_no_fault(tmp_path: Path, written: str) -> None:
    """The files as they are after each step."""
    log = AuditLog(tmp_path / "audit.jsonl")
    append(log, {"number": 0})
    line = log.path.read_bytes()
    log.head.write_text(json.dumps({"n": 0, "chain": "0" * 64}))
    if written == "head":
        log.key.unlink()
    if written in ("head", "key"):
        log.path.unlink()
    if written == "a part of the line":
        log.path.write_bytes(line[:20])
    assert verify(log).intact
    append(log, {"number": 1})
    found = verify(log)
    assert (found.faults, found.entries) == ((), 2 if written == "the line" else 1)


def test_an_older_copy_of_the_log_alone_shows(log: AuditLog) -> None:
    older = log.path.read_bytes()
    append(log, {})
    log.path.write_bytes(older)
    assert verify(log).faults == ("At the end, 1 entry is missing: the log was cut short.",)


def test_a_crash_between_a_line_and_its_head_is_no_fault(log: AuditLog) -> None:
    head = log.head.read_bytes()
    append(log, {"number": "written"})
    log.head.write_bytes(head)
    assert verify(log).intact
    append(log, {"number": "later"})
    found = verify(log)
    assert (found.intact, found.entries) == (True, 8)


def test_lines_from_before_the_chain_are_covered_by_it(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.path.write_text('{"number": 0}\n{"number": 1}\n')
    append(log, {"number": 2})
    found = verify(log)
    assert (found.intact, found.unchained, found.entries) == (True, 2, 1)
    assert [entry["number"] for entry in read(log.path)] == [0, 1, 2]
    log.path.write_bytes(log.path.read_bytes().replace(b'"number": 1', b'"number": 7'))
    assert "before line 3" in verify(log).faults[0]


@pytest.mark.parametrize("left", [1, 10, -2, -1])
def test_a_torn_line_costs_that_line_alone(tmp_path: Path, left: int) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    append(log, {"number": 0})
    head = log.head.read_bytes()
    append(log, {"number": 1})
    first, second = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(first + second[:left])  # with -1 the line lacks nothing but its end
    log.head.write_bytes(head)
    append(log, {"number": 2})
    complete = left == -1
    assert [e["number"] for e in read(log.path)] == ([0, 1, 2] if complete else [0, 2])
    found = verify(log)
    assert (found.intact, found.torn) == (True, 0 if complete else 1)


def test_a_disk_that_takes_a_part_at_a_time(tmp_path: Path) -> None:
    """Either the whole entry is there, or the caller hears of it."""
    import resource

    log = AuditLog(tmp_path / "audit.jsonl")
    append(log, {"number": 0})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size + 20, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            append(log, {"number": 1, "text": "x" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    append(log, {"number": 2})
    assert [entry["number"] for entry in read(log.path)] == [0, 2]
    assert verify(log).intact


def test_bytes_that_are_no_text_hide_nothing_else(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.path.write_bytes(b"\xff\xfe\n\n[1]\n" + b"[" * 100_000 + b"\n")
    append(log, {"number": 1})
    assert [entry["number"] for entry in read(log.path)] == [1]
    assert verify(log).intact


def test_threads_and_processes_take_turns(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: append(log, {"number": number}), range(40)))
    found = verify(log)
    assert (found.intact, found.entries) == (True, 40)


def test_the_last_line_is_found_behind_much_that_is_not_one(log: AuditLog) -> None:
    with log.path.open("ab") as file:
        file.write(b"x" * 200_000)
    log.head.unlink()
    append(log, {"number": "later"})
    assert list(read(log.path))[-1]["n"] == 7


def test_a_number_that_is_none_is_no_line_of_the_chain() -> None:
    tail = ', "chain": "' + "0" * 64 + '"}'
    for body in ('{"n": true', '{"n": "1"', '{"m": 1', "{", '{"n": 1e3'):
        assert audit_log.parse_line((body + tail).encode()) is None
