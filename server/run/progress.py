"""Where a run stands at this moment, for whoever asks while it goes on: progress.json."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from shared.run.events import (
    Event,
    ReplyReceived,
    RoundFinished,
    RoundStarted,
    RunStarted,
    SiteJoined,
    SiteLost,
    SiteUnable,
    Warned,
    listening,
)
from shared.storage.json_file import DamagedFile, fitting, read_json, typed

FILE = "progress.json"


@dataclass(frozen=True)
class Progress:
    """A run's state; times in seconds since the epoch."""

    pid: int
    rounds: int = 0
    round: int = 0
    """The round under way, 0 before the first."""
    stages: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    """Sites that were asked and whose connection is lost."""
    absent: tuple[str, ...] = ()
    """Registered sites that were not connected when the round began."""
    unable: Mapping[str, str] = field(default_factory=dict)
    """Registered sites that are connected and cannot take part, and why: without their name."""
    loss: float | None = None
    auroc: float | None = None
    """Of the model that entered the last finished round."""
    bytes: int = 0
    seconds_left: float | None = None
    """As estimated when the last round was finished."""
    note: str = ""
    """What the run said last to its owner, but of sites that cannot take part: see `unable`."""


@contextmanager
def progress_in(folder: str) -> Iterator[None]:
    """Keep progress.json in this folder up to date; nothing where there is no folder."""
    if not folder:
        yield
        return
    state = Progress(pid=os.getpid())

    def hear(event: Event) -> None:
        nonlocal state
        after = advance(state, event)
        if after != state:
            state = after
            _write(Path(folder), state)

    with listening(hear):
        yield


def advance(state: Progress, event: Event) -> Progress:
    """The state after an event."""
    match event:
        case RunStarted(_, sites, rounds, done, _):
            return replace(state, rounds=rounds, round=done, asked=sites)
        case RoundStarted(plan, rounds, sites, absent, unable):
            return replace(
                state, rounds=rounds, round=plan.round, stages=plan.trainable, asked=sites,
                answered=(), lost=(), absent=absent, unable=dict(unable), note="",
            )  # fmt: skip
        case SiteUnable(site, _, reason):
            return replace(state, unable={**state.unable, site: reason})
        case SiteJoined(site):
            still = {name: why for name, why in state.unable.items() if name != site}
            return replace(state, unable=still)
        case ReplyReceived(site, problem):
            lost = tuple(name for name in state.lost if name != site)
            # After the last round each answers once more, and may answer again after a failure.
            answered = (*(name for name in state.answered if name != site), site)
            note = f"{site} excluded: {problem}" if problem else state.note
            return replace(state, answered=answered, lost=lost, note=note)
        case SiteLost(site, back):
            others = tuple(name for name in state.lost if name != site)
            return replace(state, lost=others if back else (*others, site))
        case RoundFinished(_, _, loss, auroc, size, _, left):
            return replace(
                state, loss=loss, auroc=auroc, bytes=state.bytes + size, seconds_left=left
            )  # fmt: skip
        case Warned(text):
            return replace(state, note=text)
    return state


def read_progress(folder: Path) -> Progress | None:
    """What the run's process wrote last, None where it has written nothing yet."""
    try:
        document = read_json(folder / FILE)
        with fitting():  # an unknown key is another version's
            Progress(**document)
        return typed(document, Progress)
    except (OSError, DamagedFile):
        return None


def _write(folder: Path, state: Progress) -> None:
    """Put the file in place; a full disk loses it and nothing else."""
    temporary = folder / f".{FILE}.{os.getpid()}.tmp"
    try:
        # Not flushed to disk: it is of this moment, and every reply would cost an fsync.
        temporary.write_text(json.dumps(vars(state)), encoding="utf-8")
        os.replace(temporary, folder / FILE)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
