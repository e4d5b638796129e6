"""The last rounds of a run in a few numbers each, for whoever asks while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from server.run.ledger import RoundRecord, read_rounds_after

LONGEST = 40
"""Rounds that are shown at most."""
_LONGEST_BYTES = 2**22
"""Of the ledger's end that is read: a line has about 600 bytes for each site."""


@dataclass(frozen=True)
class RoundLine:
    """One round. `auroc` is of the pooled validation of the model that entered it."""

    round: int
    loss: float | None
    auroc: float | None
    bytes: int
    """Both ways."""
    seconds: float
    sites: int
    """How many took part."""
    refused: tuple[str, ...]
    absent: tuple[str, ...]


def last_rounds(ledger: Path) -> tuple[RoundLine, ...]:
    """The last rounds, the oldest first; empty where there are none or none can be read."""
    try:
        start = max(0, ledger.stat().st_size - _LONGEST_BYTES)
    except OSError:
        return ()
    records, _ = read_rounds_after(ledger, start)
    return tuple(_line(record) for record in records[-LONGEST:])


def _line(record: RoundRecord) -> RoundLine:
    return RoundLine(
        round=record.round,
        loss=record.loss,
        auroc=record.auroc,
        bytes=record.bytes_down + record.bytes_up,
        seconds=record.seconds,
        sites=len(record.sites),
        refused=tuple(record.refused),
        absent=tuple(record.absent),
    )
