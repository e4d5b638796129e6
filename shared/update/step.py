"""One step of an update's way from a site's training to the average.

Steps are values, one a file, listed in `registry.py`. This file and the steps' own import nothing
heavy when they are loaded: they are checked wherever settings are parsed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from flwr.app import ArrayRecord

    from shared.wire.arrays import Arrays, Manifest


class Settings(Protocol):
    """What the steps read of a run's settings."""

    @property
    def update_dtype(self) -> str:
        """Number format of the transmitted weights."""

    @property
    def update_steps(self) -> float:
        """int8 steps for one root mean square of a channel's changes."""

    @property
    def update_rank(self) -> int:
        """Rank of the matrices that sites send; 0: all of each."""

    @property
    def update_clip(self) -> float:
        """Largest L2 norm of an update; 0: no limit."""


@dataclass(frozen=True)
class Passage:
    """Which update is on its way."""

    settings: Settings
    run: str
    round: int
    site: str
    statistics: frozenset[str]
    """Names of the tensors that are BatchNorm statistics, not weights."""


def _nothing_to_check(settings: Settings) -> None:
    """For steps whose settings cannot contradict each other."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What every step says of itself."""

    name: str
    words: Callable[[Settings], str]
    """What it does to the update, for the site's owner who is to approve a run."""
    check: Callable[[Settings], None] = _nothing_to_check
    """Raises ConfigError for settings that cannot work; asked where settings are parsed."""
    keeps: str = ""
    """Name of the state that the site keeps of it from round to round; empty: it has none."""


@dataclass(frozen=True, kw_only=True)
class Transform(Step):
    """float32 tensors to float32 tensors of the same names and shapes: clip, noise."""

    used: Callable[[Settings], bool]
    at_site: Callable[[Arrays, Arrays, Passage], tuple[Arrays, Arrays]]
    """(update, state) -> (update, state), after training; the state is empty at first."""
    at_coordinator: Callable[[Arrays, Passage], Arrays]
    """Its inverse, or the check of what it promises, before the update is screened and averaged.

    Raises ProtocolError for an update that did not go through the step at its site.
    """


@dataclass(frozen=True, kw_only=True)
class Packing(Step):
    """Tensors to bytes and back, the last step of a chain: a number format, later a mask."""

    pack: Callable[[Arrays, Manifest, Arrays, Settings], tuple[ArrayRecord, Arrays]]
    """(update, manifest, state, settings) -> (what travels, state)."""
    unpack: Callable[[ArrayRecord, Manifest], Arrays]
    """Raises ProtocolError for what does not fit the manifest."""
