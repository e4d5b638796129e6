"""What happens during a run, reported to whoever listens in this process.

A terminal's progress bars, a log and later a live view are listeners; the rounds and the trainer
do not know them. Without a listener an event costs nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from shared.settings.schedule import Plan


@dataclass(frozen=True)
class RunStarted:
    """The rounds begin, or go on after `done` rounds."""

    run: str
    sites: tuple[str, ...]
    rounds: int
    done: int
    folder: str
    at_most: bool = False
    """Whether the run may end before these rounds."""


@dataclass(frozen=True)
class SiteBusy:
    """A site of this process has begun a task of so many steps (0: unknown)."""

    site: str
    task: str
    steps: int


@dataclass(frozen=True)
class StepDone:
    """A site of this process has done one more step of its task."""

    site: str


@dataclass(frozen=True)
class SiteNote:
    """Something that the owner of a site of this process should know."""

    site: str
    text: str


@dataclass(frozen=True)
class Downloading:
    """Pretrained weights are being fetched: bytes so far, and of how many where that is known."""

    done: int
    total: int | None


@dataclass(frozen=True)
class RoundStarted:
    """The messages of a round are on their way."""

    plan: Plan
    rounds: int
    sites: tuple[str, ...]
    absent: tuple[str, ...] = ()
    """Registered sites that are not connected."""
    unable: Mapping[str, str] = field(default_factory=dict)
    """Registered sites that are connected and cannot take part, and why."""


@dataclass(frozen=True)
class SiteJoined:
    """A site has said who it is and takes part from now on."""

    site: str


@dataclass(frozen=True)
class SiteUnable:
    """A connected registered site cannot take part; `sentence` names it and says why.

    `reason` says why alone, to be read behind the site's name and without a full stop.
    """

    site: str
    sentence: str
    reason: str


@dataclass(frozen=True)
class SiteLost:
    """The connection of a site that has been asked is lost, or `back` again."""

    site: str
    back: bool


@dataclass(frozen=True)
class ReplyReceived:
    """A site has answered; `problem` says why its reply is not used."""

    site: str
    problem: str | None


@dataclass(frozen=True)
class RoundRetried:
    """A round had too few usable replies and is asked again."""

    round: int
    usable: int
    needed: int
    attempt: int


@dataclass(frozen=True)
class RoundFinished:
    """A round is aggregated and on disk. `auroc` is that of the model that entered it; None is not
    shown.

    The next round may have begun by then: it does not wait for the disk.
    """

    round: int
    rounds: int
    loss: float | None
    auroc: float | None
    bytes: int
    seconds: float
    seconds_left: float | None = None
    """Until the run ends, as estimated now."""


@dataclass(frozen=True)
class Warned:
    """Something that the coordinator's owner should know."""

    text: str


@dataclass(frozen=True)
class Noted:
    """How far the work is, in a sentence."""

    text: str


Event = (
    RunStarted
    | SiteBusy
    | StepDone
    | SiteNote
    | Downloading
    | RoundStarted
    | SiteJoined
    | SiteUnable
    | SiteLost
    | ReplyReceived
    | RoundRetried
    | RoundFinished
    | Warned
    | Noted
)
Listener = Callable[[Event], None]

_listeners: list[Listener] = []
_emitting = threading.RLock()


def emit(event: Event) -> None:
    """Call all listeners of this process, in the caller's thread; one event at a time."""
    with _emitting:
        for listener in tuple(_listeners):
            listener(event)


def show_download(done: int, total: int | None) -> None:
    """Report how far a download is; the callback that the weights' loader takes."""
    emit(Downloading(done, total))


def has_listeners() -> bool:
    """Whether anybody listens in this process."""
    return bool(_listeners)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Listen for the duration of the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
