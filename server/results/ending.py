"""How a run's final model came about, as far as it may be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NotRequired, TypedDict

from shared.storage.json_file import typed


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
    """What the final model is made of, and what finding it took."""

    averaged: tuple[int, int]
    """First and last of the rounds whose models are averaged."""
    choice: Choice | None = None
    """None where nothing was chosen."""
    bytes_down: int = 0
    bytes_up: int = 0
    seconds: float = 0.0
    evaluate_seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The choice as summary.json has it; bytes and seconds are in its sums."""
        averaged = {"averaged_rounds": list(self.averaged)}
        if self.choice is None:
            return averaged
        listed = {"candidates": [asdict(one) for one in self.choice.candidates]}
        return averaged | asdict(self.choice) | listed | {"sites": list(self.choice.sites)}


class _Averaged(TypedDict):
    averaged_rounds: tuple[int, int]
    probe_round: NotRequired[int]


def read_ending(document: Mapping[str, Any]) -> Ending:
    """Back from summary.json; DamagedFile where it is none."""
    averaged = typed(document, _Averaged)["averaged_rounds"]
    return Ending(averaged, typed(document, Choice) if "probe_round" in document else None)


def in_words(ending: Ending) -> str:
    """What the final model is, as a sentence."""
    first, last = ending.averaged
    end = f"the model of round {last}"
    if first < last:
        end = f"the mean of the models of rounds {first} to {last}"
    choice = ending.choice
    if choice is None:
        return f"The final model is {end}."
    probe = f"the model of round {choice.probe_round}, the last of the probe"
    way = f"{100 * choice.share:g} % of the way from {probe}, to {end}"
    return f"The final model is {({0.0: probe, 1.0: end}).get(choice.share, way)}."
