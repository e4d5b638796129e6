"""What a person sees while a run goes on: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from server.terminal.decimals import as_rounded
from server.terminal.rough import rounds_in_words, time_in_words
from shared.run.events import (
    Downloading,
    Event,
    Noted,
    ReplyReceived,
    RoundFinished,
    RoundRetried,
    RoundStarted,
    RunStarted,
    SiteBusy,
    SiteJoined,
    SiteLost,
    SiteNote,
    SiteUnable,
    StepDone,
    Warned,
    has_listeners,
    listening,
)

_NAMED = 20
"""So many sites are named in one line; of more, it says how many."""


def loss_in_words(loss: float | None) -> str:
    """A loss as it may be shown."""
    return "not shown" if loss is None else as_rounded(loss, 4)


def auroc_in_words(auroc: float | None) -> str:
    """An AUROC as it may be shown; without one it may be undefined as well."""
    return "undefined or not shown" if auroc is None else as_rounded(auroc, 3)


def describe(event: Event) -> str | None:
    """The line of an event that is worth one, else None."""
    match event:
        case RunStarted(run, sites, rounds, done, folder, at_most):
            begin = f"continues after round {done}" if done else "begins"
            names = ", ".join(sites) if len(sites) <= _NAMED else f"{len(sites)} sites"
            most = "at most " if at_most else ""
            return (
                f"Run {run} {begin}: {most}{rounds_in_words(rounds)} with {names}. Folder: {folder}"
            )
        case RoundFinished(round_number, rounds, loss, auroc, size, seconds, left):
            return (
                f"Round {round_number}/{rounds}: loss {loss_in_words(loss)}, "
                f"AUROC of the incoming model {auroc_in_words(auroc)}, "
                f"{size / 1e6:.2f} MB, {seconds:.1f} s"
                + (f"; about {time_in_words(left)} left" if left and round_number < rounds else "")
            )
        case SiteJoined(site):
            return f"{site} takes part"
        case SiteLost(site, back):
            if back:
                return f"{site} is connected again"
            return f"The connection to {site} is lost; the round waits for it for a while"
        case RoundStarted(plan, _, _, absent, unable) if absent or unable:
            away = [f"{', '.join(absent)}: not connected"] if absent else []
            away += [f"{site}: {reason.rstrip('.')}" for site, reason in unable.items()]
            return f"Round {plan.round} begins without {'; '.join(away)}"
        case SiteUnable(_, sentence, _):
            return sentence
        case RoundRetried(round_number, usable, needed, attempt):
            return f"Round {round_number}: {usable} of {needed} usable replies in attempt {attempt}"
        case ReplyReceived(site, problem) if problem:
            return f"{site} excluded: {problem}"
        case Downloading(done, total) if done == total:
            return f"Fetched the pretrained weights, {done / 1e6:.0f} MB"
        case SiteNote(site, text):
            return f"{site}: {text}"
        case Warned(text) | Noted(text):
            return text
    return None


@contextmanager
def reporting(console: Console | None = None) -> Iterator[None]:
    """Show the run's events on standard error, unless somebody listens already."""
    if has_listeners():
        yield
        return
    console = console or Console(stderr=True)
    if console.is_terminal:
        with _Bars(console) as bars, listening(bars.show):
            yield
        return
    with listening(lambda event: _print_line(console, event)):
        yield


def _print_line(console: Console, event: Event) -> None:
    line = describe(event)
    if line is not None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


class _Bars:
    """A bar for the rounds, one for the sites of the round, one for the steps of a site."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._bars: dict[str, TaskID] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        """Move the bars; lines that stay are printed above them."""
        match event:
            case RunStarted(_, _, rounds, done, _):
                self._set("rounds", "Rounds", rounds, done)
            case RoundStarted(plan, rounds, sites):
                stages = ", ".join(reversed(plan.trainable))
                self._set("rounds", "Rounds", rounds, plan.round - 1)
                self._remove("sites", "steps")
                self._set("sites", f"Sites ({stages})", len(sites), 0)
            case ReplyReceived():
                self._advance("sites")
            case Downloading(done, total):
                self._set("steps", "Fetching pretrained weights", total, done)
            case SiteBusy(site, task, steps):
                self._remove("steps")
                self._set("steps", f"{site}: {task}", steps or None, 0)
            case StepDone():
                self._advance("steps")
            case RoundFinished(round_number, rounds):
                self._set("rounds", "Rounds", rounds, round_number)
                if round_number == rounds:  # else these may be the next round's already
                    self._remove("sites", "steps")
        line = describe(event)
        if line is not None:
            self._progress.console.print(line, highlight=False, markup=False)

    def _set(self, bar: str, text: str, total: int | None, completed: int) -> None:
        if bar in self._bars:
            self._progress.update(self._bars[bar], total=total, completed=completed)
        else:
            self._bars[bar] = self._progress.add_task(text, total=total, completed=completed)

    def _remove(self, *bars: str) -> None:
        for bar in bars:
            if bar in self._bars:
                self._progress.remove_task(self._bars.pop(bar))

    def _advance(self, bar: str) -> None:
        if bar in self._bars:
            self._progress.advance(self._bars[bar])
