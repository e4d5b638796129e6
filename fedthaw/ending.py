"""How a finished run's model came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from server.results.ending import Ending, in_words, read_ending
from server.run.ledger import RoundRecord
from server.schedule.adaptive import stretches
from shared.settings.config import RunConfig
from shared.settings.schedule import total_rounds


@dataclass(frozen=True)
class RunEnd:
    """What a run ended with, and when; `config.end` is what was asked for."""

    end: Literal["last", "average", "guarded"]
    """What was taken: guarded where the sites chose how near to the probe it lies, average where
    several rounds' models are averaged, else the last round's model."""
    averaged: tuple[int, int]
    """First and last of the rounds whose models are averaged; the same where it is one."""
    share: float | None
    """Share of the way from the probe's last model to that mean, 0 to 1, that the sites' counts
    chose; None where nothing was chosen."""
    rounds: int
    """How many the run took."""
    most_rounds: int
    """How many its settings allow."""
    cut_after: int | None
    """The round after which schedule=adaptive decided to end the run early; None where it did
    not."""
    words: str
    """What the final model is, as a sentence."""


def run_end(
    config: RunConfig, records: Sequence[RoundRecord], summary: Mapping[str, Any]
) -> RunEnd:
    """How a run ended, by its summary and ledger; DamagedFile where they do not fit."""
    rounds = len(records)
    found = Ending((rounds, rounds))
    if "end" in summary:
        found = read_ending(summary["end"])
    first, last = found.averaged
    kind: Literal["last", "average", "guarded"] = "average" if first < last else "last"
    return RunEnd(
        end=kind if found.choice is None else "guarded",
        averaged=found.averaged,
        share=None if found.choice is None else found.choice.share,
        rounds=rounds,
        most_rounds=total_rounds(config),
        cut_after=next((one.last for one in stretches(config, records) if one.cut), None),
        words=in_words(found),
    )
