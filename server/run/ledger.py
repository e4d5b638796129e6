"""What happened in each round, a JSON line each, appended when the round is safe on disk."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from server.results.shown import Shown
from server.results.signals import Signals
from shared.errors import RunError
from shared.settings.config import RunConfig
from shared.settings.schedule import last_round, may_end_early, total_rounds
from shared.storage.files import write_text_atomically
from shared.storage.json_file import DamagedFile, parse_json, typed

UNDONE = "ledger-undone.jsonl"
"""Lines of rounds that a continued run went back on."""


@dataclass(frozen=True)
class SiteRound:
    """One site's part in a round; None is not shown."""

    images: int | None
    patients: int | None
    steps: int | None
    loss: float | None
    train_seconds: float | None
    evaluate_seconds: float | None
    peak_memory_bytes: int | None
    continued_from: int
    metrics: Mapping[str, Any]
    """Of the model that entered the round; nulls where they are not shown."""
    update_ratio: float | None = None
    """How many times the other sites' median its update was, in the group of tensors where it stood
    out most; None where it was alone, or the run is of a version that did not look."""


class _Plan(TypedDict, total=False):
    """What is read of a plan, which stays as it was written."""

    phase: str
    trainable: list[str]


@dataclass(frozen=True)
class RoundRecord:
    """One round of a run, exactly or as it is shown; `validation` is of the model that entered."""

    round: int
    plan: Mapping[str, Any]
    sites: Mapping[str, SiteRound]
    refused: Mapping[str, str]
    """Replies that were not used, and sites that did not answer: name -> why."""
    attempts: int
    loss: float | None
    """Mean of the sites' losses, weighted as their updates are; None is not shown."""
    validation: Mapping[str, Any]
    bytes_down: int
    bytes_up: int
    bytes_full_exchange: int
    seconds: float
    wait_seconds: float
    absent: tuple[str, ...] = ()
    """Registered sites that were not connected when the round began."""
    undone_for: str = ""
    """Of a round that was undone: the site whose update is held responsible, without which the run
    goes on."""
    signals: Signals | None = None
    """With schedule=dynamics and schedule=adaptive: what later rounds are decided by."""
    clipped: tuple[str, ...] = ()
    """Sites whose updates counted for less than they sent."""

    @property
    def counted(self) -> frozenset[str]:
        """Sites whose updates were used as they sent them."""
        return frozenset(self.sites) - frozenset(self.clipped)

    @property
    def auroc(self) -> float | None:
        """Pooled validation AUROC of the model that entered the round."""
        value = self.validation.get("auroc")
        return None if value is None else float(value)


def planned_rounds(config: RunConfig, records: Sequence[RoundRecord]) -> int:
    """How many rounds a run has with these, the first ones, as far as they say."""
    if not records or not may_end_early(config):
        return total_rounds(config)
    plan = records[-1].plan
    return last_round(config, records[-1].round, plan["position"], plan["length"])


def append_round(path: Path, record: Shown[RoundRecord]) -> None:
    """Append one line and flush it to disk; RunError where the disk does not take it."""
    _append(path, as_line(record.value))


def as_line(record: RoundRecord) -> str:
    """A round as the ledger has it, with the line's end."""
    fields = dataclasses.asdict(record)
    if not record.undone_for:
        del fields["undone_for"]
    if record.signals is None:
        del fields["signals"]
    if not record.clipped:
        del fields["clipped"]
    return json.dumps(fields) + "\n"


def _append(path: Path, lines: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as handle:
            handle.write(lines)
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        raise _unwritable(path, error) from error


def read_rounds(path: Path) -> list[RoundRecord]:
    """All complete lines in order; a torn last line, left by a crash, is passed over.

    RunError where the file cannot be read, an earlier line is damaged or rounds are out of order.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(
            f"The ledger {path} cannot be read ({error.strerror}); check its permissions."
        ) from error
    records: list[RoundRecord] = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(parse_round(line))
        except DamagedFile:
            if number == len(lines):
                break
            raise RunError(
                f"{path}, line {number} of {len(lines)}, is damaged; restore the file, or truncate "
                "it before that line to continue from there."
            ) from None
        if records[-1].round != number:
            raise RunError(
                f"{path}, line {number}, is of round {records[-1].round}; it was edited."
            )
    return records


def read_rounds_after(path: Path, start: int) -> tuple[list[RoundRecord], int]:
    """The rounds of the complete lines from this byte on, and the byte after them.

    For those who watch: what cannot be read is passed over, and a missing ledger is empty. `start`
    may lie within a line, which is passed over too.
    """
    try:
        with path.open("rb") as ledger:
            ledger.seek(start)
            text = ledger.read()
    except OSError:
        return [], start
    end = text.rfind(b"\n") + 1
    records: list[RoundRecord] = []
    for line in text[:end].splitlines():
        with suppress(DamagedFile):
            records.append(parse_round(line))
    return records, start + end


def cut_rounds(path: Path, keep: int, undone_for: str = "") -> None:
    """Go back to the first `keep` rounds; those after them are added to UNDONE, beside the ledger.

    `undone_for` is the site that made it necessary. RunError where the ledger cannot be read, or
    the disk does not take it.
    """
    records = read_rounds(path)
    undone = [dataclasses.replace(record, undone_for=undone_for) for record in records[keep:]]
    if undone:
        _append(path.with_name(UNDONE), "".join(map(as_line, undone)))
    try:
        write_text_atomically(path, "".join(map(as_line, records[:keep])))
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> RunError:
    return RunError(
        f"The ledger {path} cannot be written ({error.strerror}). The rounds before are safe: "
        "make room there and continue with --resume."
    )


def parse_round(line: str | bytes) -> RoundRecord:
    """A round of its line; DamagedFile where it is invalid."""
    record = typed(parse_json(line), RoundRecord)
    typed(record.plan, _Plan)
    return record
