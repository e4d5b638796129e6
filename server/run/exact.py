"""The rounds exactly, for a run that goes on after an interruption: not-for-sharing.jsonl.

It is there only where the ledger shows less, readable by the run's user alone, and removed when
the run ends.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from server.run.ledger import RoundRecord, as_line, parse_round
from shared.errors import RunError
from shared.storage.files import write_private
from shared.storage.json_file import DamagedFile

FILE = "not-for-sharing.jsonl"


def append_exact(folder: Path, record: RoundRecord) -> None:
    """Append a round and flush it to disk; RunError where the disk does not take it."""
    path = folder / FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(as_line(record))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RunError(
            f"{path} cannot be written ({error.strerror}). The rounds before are safe: make room "
            "there and continue with --resume."
        ) from error


def exact_rounds(folder: Path, shown: Sequence[RoundRecord]) -> list[RoundRecord]:
    """These rounds exactly, as far as the file has them; the others as they are shown."""
    known: dict[int, RoundRecord] = {}
    with suppress(OSError):
        for line in (folder / FILE).read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(DamagedFile):
                record = parse_round(line)
                known[record.round] = record  # a round that was done again counts as it was last
    return [known.get(record.round, record) for record in shown]


def cut_exact(folder: Path, keep: int) -> None:
    """Forget the rounds after the first `keep`, and a line that a crash has torn.

    A line that is appended to a torn one would be damaged, too. A file that cannot be read stays
    as it is.
    """
    path = folder / FILE
    with suppress(OSError):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and _round_of(line) <= keep]
        if kept != lines:
            write_private(path, "".join(kept).encode("utf-8"))


def _round_of(line: str) -> float:
    """Infinity where the line is damaged."""
    try:
        return parse_round(line).round
    except DamagedFile:
        return math.inf


def remove_exact(folder: Path) -> None:
    """The run has ended, and nothing needs the exact numbers any more."""
    (folder / FILE).unlink(missing_ok=True)
