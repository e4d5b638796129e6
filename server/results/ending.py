"""How a run's final model came about, as far as it may be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class CandidateResult:
    """A candidate at the sites' validation patients; None is not shown or not defined."""

    share: float
    """Of the way from the probe's last model to the end."""
    log_loss: float | None
    log_loss_error: float | None
    """Standard error of the mean over these patients."""
    auroc: float | None


@dataclass(frozen=True)
class Choice:
    """The candidates, and which of them was chosen."""

    probe_round: int
    share: float
    candidates: tuple[CandidateResult, ...]
    sites: tuple[str, ...]
    """Those whose validation patients chose."""
    missing: Mapping[str, str]
    """Sites that did not answer, and why."""


@dataclass(frozen=True)
class Ending:
    """What the final model is made of."""

    averaged: Sequence[int]
    """The rounds whose models are averaged."""
    choice: Choice | None
    """None where nothing was chosen."""
    bytes_down: int = 0
    bytes_up: int = 0
    seconds: float = 0.0
    evaluate_seconds: float = field(default=0.0)

    def to_json(self) -> dict[str, Any]:
        """As summary.json has it."""
        averaged = {"averaged_rounds": [self.averaged[0], self.averaged[-1]]}
        if self.choice is None:
            return averaged
        return {
            **averaged,
            "probe_round": self.choice.probe_round,
            "share": self.choice.share,
            "candidates": [vars(one) for one in self.choice.candidates],
            "sites": list(self.choice.sites),
            "missing": dict(self.choice.missing),
        }


def in_words(ending: Ending) -> str:
    """How the final model came about, as a sentence."""
    first, last = ending.averaged[0], ending.averaged[-1]
    end = f"the mean of the models of rounds {first} to {last}" if first < last else (
        f"the model of round {last}"
    )  # fmt: skip
    choice = ending.choice
    if choice is None:
        return f"The final model is {end}."
    probe = f"the model of round {choice.probe_round}, the probe's last"
    way = {0.0: probe, 1.0: end}.get(
        choice.share, f"{choice.share:.0%} of the way from {probe}, to {end}"
    )
    return (
        f"The final model is {way}. The sites' validation patients chose it among "
        f"{len(choice.candidates)} candidates."
    )
