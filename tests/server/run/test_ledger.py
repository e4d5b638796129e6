"""A line a round: what is read is what was written, and damage is noticed."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from server.results.shown import Shown
from server.results.signals import Signals, UnitSignals
from server.run.ledger import (
    UNDONE,
    RoundRecord,
    append_round,
    cut_rounds,
    read_rounds,
)
from shared.errors import RunError

MakeRecord = Callable[..., RoundRecord]


@pytest.fixture
def ledger(tmp_path: Path, make_record: MakeRecord) -> Path:
    path = tmp_path / "ledger.jsonl"
    for number in (1, 2, 3):
        append_round(path, Shown(make_record(number)))
    return path


def test_what_is_read_is_what_was_written(ledger: Path, make_record: MakeRecord) -> None:
    assert read_rounds(ledger) == [make_record(number) for number in (1, 2, 3)]


def test_other_programs_read_it_line_by_line(ledger: Path) -> None:
    lines = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    assert [line["round"] for line in lines] == [1, 2, 3]
    assert set(lines[0]) == {
        "round", "plan", "sites", "refused", "attempts", "loss", "validation", "bytes_down",
        "bytes_up", "bytes_full_exchange", "seconds", "wait_seconds", "absent",
    }  # fmt: skip
    assert set(lines[0]["plan"]) == {
        "round", "phase", "position", "length", "trainable", "thawed", "rates",
        "cutmix-probability",
    }  # fmt: skip
    assert set(lines[0]["sites"]["north"]["metrics"].values()) == {None}


def test_absent_sites_are_recorded(tmp_path: Path, make_record: MakeRecord) -> None:
    record = replace(make_record(1), absent=("south", "west"))
    append_round(tmp_path / "ledger.jsonl", Shown(record))
    assert read_rounds(tmp_path / "ledger.jsonl") == [record]
    (line,) = (tmp_path / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["absent"] == ["south", "west"]


def test_a_line_of_before_absent_sites_were_recorded(ledger: Path, make_record: MakeRecord) -> None:
    lines = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        del line["absent"]
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert read_rounds(ledger) == [make_record(number) for number in (1, 2, 3)]


def test_a_line_of_before_there_was_a_signal_to_noise(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    units = {"layer4.0": UnitSignals(0.02, 0.1, 0.061), "head": UnitSignals(0.1, None)}
    record = replace(make_record(1), signals=Signals(units, 0.6))
    append_round(tmp_path / "ledger.jsonl", Shown(record))
    assert read_rounds(tmp_path / "ledger.jsonl") == [record]
    line = json.loads((tmp_path / "ledger.jsonl").read_text(encoding="utf-8"))
    for own in line["signals"]["units"].values():
        del own["signal_to_noise"]
    (tmp_path / "earlier.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    (earlier,) = read_rounds(tmp_path / "earlier.jsonl")
    assert earlier.signals is not None
    assert earlier.signals.units["layer4.0"] == UnitSignals(0.02, 0.1, None)
    # A run that is continued writes such a line again.
    cut_rounds(tmp_path / "earlier.jsonl", 1)
    assert read_rounds(tmp_path / "earlier.jsonl") == [earlier]


def test_a_run_that_has_not_begun(tmp_path: Path) -> None:
    assert read_rounds(tmp_path / "ledger.jsonl") == []


@pytest.mark.parametrize("kept", [1, 20, -2])
def test_a_torn_last_line_is_passed_over(ledger: Path, kept: int, make_record: MakeRecord) -> None:
    whole = ledger.read_text(encoding="utf-8")
    *before, last = whole.splitlines(keepends=True)
    ledger.write_text("".join(before) + last[:kept], encoding="utf-8")
    assert read_rounds(ledger) == [make_record(1), make_record(2)]


@pytest.mark.parametrize("torn", [b"{}", b"[]", b"17", b"\xff\xfe", b"\0" * 50, b'{"round": 4}'])
def test_a_last_line_of_anything_else_is_passed_over(ledger: Path, torn: bytes) -> None:
    ledger.write_bytes(ledger.read_bytes() + torn)
    assert [record.round for record in read_rounds(ledger)] == [1, 2, 3]


@pytest.mark.parametrize("damage", ["", "{", "[]", "\0\0"])
def test_damage_in_the_middle_is_an_error(ledger: Path, damage: str) -> None:
    lines = ledger.read_text(encoding="utf-8").splitlines()
    ledger.write_text("\n".join([lines[0], damage, lines[2]]) + "\n", encoding="utf-8")
    with pytest.raises(RunError, match="line 2 of 3, is damaged; restore the file, or truncate"):
        read_rounds(ledger)


@pytest.mark.parametrize("order", [(1, 3), (2, 1), (1, 1)])
def test_rounds_out_of_order(
    tmp_path: Path, order: tuple[int, int], make_record: MakeRecord
) -> None:
    path = tmp_path / "ledger.jsonl"
    for number in order:
        append_round(path, Shown(make_record(number)))
    with pytest.raises(RunError, match=r"is of round \d; it was edited"):
        read_rounds(path)


def test_a_ledger_is_cut_back_to_its_checkpoint(ledger: Path, make_record: MakeRecord) -> None:
    cut_rounds(ledger, 1)
    assert read_rounds(ledger) == [make_record(1)]
    append_round(ledger, Shown(make_record(2)))
    assert read_rounds(ledger) == [make_record(1), make_record(2)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk(make_record: MakeRecord) -> None:
    sentence = r"ledger /dev/full cannot be written \(No space left.*continue with --resume"
    with pytest.raises(RunError, match=sentence):
        append_round(Path("/dev/full"), Shown(make_record(1)))


def test_a_disk_that_fills_up_while_rewriting(ledger: Path, fill_disk: Callable[[], None]) -> None:
    before = ledger.read_bytes()
    fill_disk()
    with pytest.raises(RunError, match=r"cannot be written \(No space left"):
        cut_rounds(ledger, len(read_rounds(ledger)))
    assert ledger.read_bytes() == before
    assert os.listdir(ledger.parent) == [ledger.name]


@pytest.mark.parametrize("auroc", [0.0, 0.5, None])
def test_the_validation_auroc(auroc: float | None, make_record: MakeRecord) -> None:
    assert make_record(1, auroc).auroc == auroc


def test_rounds_that_are_gone_back_on_are_kept_beside(ledger: Path) -> None:
    """Each time: what was set aside before stays."""
    first, second, _ = read_rounds(ledger)
    cut_rounds(ledger, 2)
    assert read_rounds(ledger) == [first, second]
    cut_rounds(ledger, 1)
    assert read_rounds(ledger) == [first]
    undone = (ledger.parent / UNDONE).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["round"] for line in undone] == [3, 2]
    cut_rounds(ledger, 1)
    assert read_rounds(ledger) == [first]
    assert len((ledger.parent / UNDONE).read_text(encoding="utf-8").splitlines()) == 2


def test_a_ledger_that_cannot_be_read_now(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "read_text", fail)
    with pytest.raises(RunError, match=r"ledger\.jsonl cannot be read \(Input/output error\)"):
        read_rounds(ledger)
