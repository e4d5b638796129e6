"""What happened in each round, a JSON line each, appended when the round is safe on disk."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.disclosure.shown import Shown
from shared.errors import RunError
from shared.files import write_text_atomically

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
    """Mean of the sites' losses, weighted by their training images; None is not shown."""
    validation: Mapping[str, Any]
    bytes_down: int
    bytes_up: int
    bytes_full_exchange: int
    seconds: float
    wait_seconds: float
    absent: Sequence[str] = ()
    """Registered sites that were not connected when the round began."""

    @property
    def auroc(self) -> float | None:
        """Pooled validation AUROC of the model that entered the round."""
        value = self.validation.get("auroc")
        return None if value is None else float(value)


def append_round(path: Path, record: Shown[RoundRecord]) -> None:
    """Append one line and flush it to disk; RunError where the disk does not take it."""
    _append(path, as_line(record.value))


def as_line(record: RoundRecord) -> str:
    """A round as the ledger has it, with the line's end."""
    return json.dumps(dataclasses.asdict(record)) + "\n"


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
            f"The ledger {path} cannot be read ({error.strerror}); mend its access."
        ) from error
    records: list[RoundRecord] = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(parse_round(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError):
            if number == len(lines):
                break
            raise RunError(
                f"{path}, line {number} of {len(lines)}, is damaged; restore the file, or cut it "
                "off before that line to go on from there."
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
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            records.append(parse_round(json.loads(line)))
    return records, start + end


def cut_rounds(path: Path, keep: int) -> None:
    """Go back to the first `keep` rounds; those after them are added to UNDONE, beside the ledger.

    RunError where it cannot be read, or the disk does not take it.
    """
    lines = [as_line(record) for record in read_rounds(path)]
    if lines[keep:]:
        _append(path.with_name(UNDONE), "".join(lines[keep:]))
    try:
        write_text_atomically(path, "".join(lines[:keep]))
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> RunError:
    return RunError(
        f"The ledger {path} cannot be written ({error.strerror}). The rounds before are safe: "
        "make room there and continue with --resume."
    )


def parse_round(fields: dict[str, Any]) -> RoundRecord:
    """A round of a line's object; KeyError, TypeError or AttributeError where it is none."""
    sites = {name: SiteRound(**site) for name, site in fields.pop("sites").items()}
    absent = tuple(fields.pop("absent", ()))
    return RoundRecord(sites=sites, absent=absent, **fields)
