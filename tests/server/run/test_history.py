"""The last rounds of a run, whatever state its ledger is in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from server.results.shown import Shown
from server.run import history
from server.run.history import LONGEST, last_rounds
from server.run.ledger import RoundRecord, append_round

MakeRecord = Callable[..., RoundRecord]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def write(ledger: Path, make_record: MakeRecord, rounds: int) -> None:
    for number in range(1, rounds + 1):
        record = make_record(1, auroc=None if number == 2 else number / 100)
        append_round(ledger, Shown(replace(record, round=number, bytes_down=100 * number)))


def test_a_round_in_a_few_numbers(ledger: Path, make_record: MakeRecord) -> None:
    write(ledger, make_record, 3)
    lines = last_rounds(ledger)
    assert [line.round for line in lines] == [1, 2, 3]
    assert [line.auroc for line in lines] == [0.01, None, 0.03]
    last = lines[-1]
    assert (last.loss, last.bytes, last.seconds, last.sites) == (0.5, 310, 3.0, 2)
    assert (last.refused, last.absent) == (("south",), ())


def test_no_more_than_so_many(ledger: Path, make_record: MakeRecord) -> None:
    write(ledger, make_record, LONGEST + 3)
    assert [line.round for line in last_rounds(ledger)] == list(range(4, LONGEST + 4))


def test_of_a_long_ledger_only_the_end_is_read(
    ledger: Path, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the middle of a line on: that line is not shown."""
    write(ledger, make_record, 6)
    sizes = [len(line) for line in ledger.read_bytes().splitlines(keepends=True)]
    monkeypatch.setattr(history, "_LONGEST_BYTES", sum(sizes[-3:]) + sizes[2] // 2)
    assert [line.round for line in last_rounds(ledger)] == [4, 5, 6]


def test_while_a_line_is_being_written(ledger: Path, make_record: MakeRecord) -> None:
    write(ledger, make_record, 3)
    ledger.write_bytes(ledger.read_bytes()[:-5])
    assert [line.round for line in last_rounds(ledger)] == [1, 2]


@pytest.mark.parametrize("content", [None, b"", b"\n", b"[]\n", b"null\n{}\n", b"\xff\xfe\n"])
def test_anything_else_is_as_if_not_there(ledger: Path, content: bytes | None) -> None:
    if content is not None:
        ledger.write_bytes(content)
    assert last_rounds(ledger) == ()
