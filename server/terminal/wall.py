"""The server, its sites and its runs on a whole screen, large enough to be read across a room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.segment import Segment, SegmentLines
from rich.table import Table
from rich.text import Text

from server.terminal.decimals import as_rounded
from server.terminal.digits import large
from server.terminal.progress import loss_in_words

_BARS = "▁▂▃▄▅▆▇█"
_LARGE_WIDTH, _LARGE_HEIGHT = 72, 22
"""From this size of a terminal on, in characters, the numbers are large."""
_ENDED = 3
"""Runs that have ended and are shown."""
_STYLES = {"running": "bold cyan", "complete": "green", "failed": "bold red", "stopped": "yellow"}


@dataclass(frozen=True)
class Moment:
    """What was seen last, when, and what has kept the screen from seeing more since."""

    document: Mapping[str, Any]
    """As `overview` gives it."""
    at: datetime
    complaint: str = ""


def wall(moment: Moment, console: Console) -> RenderableType:
    """The whole view, cut to the height of the terminal: what matters most comes first."""
    lines = [line for part in _parts(moment, console) for line in _lines(part, console)]
    room = console.height - 1
    if len(lines) > room:
        hidden = f"{len(lines) - room + 1} more lines; `fedthaw server status` prints all of them."
        lines = lines[: room - 1] + _lines(Text(hidden, style="dim"), console)[:1]
    lines += [[] for _ in range(room - len(lines))]
    footer = Text("Ctrl-C ends this; the server goes on.", style="dim")
    return SegmentLines([*lines, *_lines(footer, console)[:1]], new_lines=True)


def _lines(part: RenderableType, console: Console) -> list[list[Segment]]:
    return console.render_lines(part, console.options.update(width=console.width), pad=True)


def _parts(moment: Moment, console: Console) -> Iterator[RenderableType]:
    document, gap = moment.document, Text()
    yield _head(moment, console)
    if moment.complaint:
        yield Text(f"Not seen since then: {moment.complaint}", style="bold red", overflow="fold")
    yield gap
    runs: list[dict[str, Any]] = document.get("runs", [])
    current = [run for run in runs if run["state"] == "running"]
    for run in current:
        yield from _current(run, document, moment.at, console)
        yield gap
    if not current:
        yield Text("No run is under way.", style="bold")
        yield gap
    yield from _problems(document)
    yield _sites(document["sites"], console)
    yield gap
    waiting = [run["run"] for run in runs if run["state"] == "waiting"]
    if waiting:
        yield Text.assemble(("In the queue: ", "bold"), ", ".join(waiting), overflow="fold")
    yield from (_end_of(run) for run in _ended(runs) if run["state"] != "failed")


def _head(moment: Moment, console: Console) -> RenderableType:
    serving = bool(moment.document.get("serving"))
    left = Text.assemble(
        (f" FedThaw {moment.document.get('address', '')} ", "bold"),
        (" SERVING " if serving else " NO SERVER PROCESS ",
         "bold black on green" if serving else "bold white on red"),
    )  # fmt: skip
    right = Text(f"{moment.at:%Y-%m-%d %H:%M:%S} UTC", style="bold red" if moment.complaint else "")
    if left.cell_len + right.cell_len > console.width:
        return Group(left, right)
    head = Table.grid(expand=True)
    head.add_column(overflow="fold")
    head.add_column(justify="right", no_wrap=True)
    head.add_row(left, right)
    return head


def _current(
    run: Mapping[str, Any], document: Mapping[str, Any], now: datetime, console: Console
) -> Iterator[RenderableType]:
    progress: Mapping[str, Any] = run.get("progress", {})
    done = run["last"][-1]["round"] if run["last"] else 0
    yield Text.assemble((run["run"], "bold cyan"), "  ", ("running", "cyan"), overflow="fold")
    yield ProgressBar(total=max(1, run["rounds"]), completed=done)
    asked = progress.get("asked", ())
    left = time_left(run, now)
    auroc = run["last"][-1]["auroc"] if run["last"] else None
    numbers = {
        "rounds done": f"{done}/{run['rounds']}",
        "AUROC": "-" if auroc is None else as_rounded(auroc, 3),
        "sites answered": f"{len(progress.get('answered', ()))}/{len(asked)}",
        "left (h:min)": "-" if left is None else _clock(left),
    }
    width, height = console.size
    plain = console.options.ascii_only
    if width >= _LARGE_WIDTH and height >= _LARGE_HEIGHT:
        yield Text()
        yield from _large(numbers, plain)
    else:
        yield Text("   ".join(f"{title} {value}" for title, value in numbers.items()),
                   style="bold", overflow="fold")  # fmt: skip
    if run["last"]:
        loss = Text(f"loss {loss_in_words(run['last'][-1]['loss'])}")
        if left is not None:
            loss.append(f"   ends about {now + left:%Y-%m-%d %H:%M} UTC")
        yield loss
    aurocs = [line["auroc"] for line in run["last"]]
    if len(aurocs) > 1 and not plain and (bars := sparkline(aurocs)):
        yield Text(f"AUROC of the last {len(aurocs)} rounds  {bars}", overflow="fold")
    if missing := [name for name in asked if name not in progress.get("answered", ())]:
        yield Text(f"Waiting for {', '.join(missing)}", overflow="fold")


def _large(numbers: Mapping[str, str], plain: bool) -> Iterator[RenderableType]:
    """The numbers side by side, where there is room, with their titles below."""
    grid = Table.grid(expand=True, padding=(0, 2))
    for _ in numbers:
        grid.add_column(justify="center")
    grid.add_row(*(Text(large(value, ascii_only=plain), style="bold", no_wrap=True)
                   for value in numbers.values()))  # fmt: skip
    grid.add_row(*(Text(title, style="dim") for title in numbers))
    yield grid


def _problems(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What needs attention: certificates that end, sites that cannot take part, failures."""
    sentences = [document.get("warning"), *document.get("key_warnings", ())]
    sentences += [
        f"{name} cannot take part: {site['problem'].rstrip('.')}."
        for name, site in document["sites"].items()
        if site["problem"]
    ]
    found: list[RenderableType] = [
        Text(one, style="bold red", overflow="fold") for one in sentences if one
    ]
    found += [_end_of(run) for run in _ended(document.get("runs", [])) if run["state"] == "failed"]
    if found:
        yield Group(*found, Text())


def _sites(sites: Mapping[str, Mapping[str, Any]], console: Console) -> RenderableType:
    """A mark and a word for each; several side by side where there is room."""
    if not sites:
        return Text("No site is registered yet.")
    marks = "*o!" if console.options.ascii_only else "●○▲"
    cells = []
    for name, site in sites.items():
        mark, word, style = (
            (marks[2], "unable to take part", "bold yellow")
            if site["problem"]
            else (marks[0], "connected", "bold green")
            if site["connected"]
            else (marks[1], "not connected", "bold red")
        )
        cells.append(Text.assemble((f"{mark} ", style), (name, "bold"), (f" {word}", style)))
    widest = max(cell.cell_len for cell in cells) + 3
    columns = max(1, min(len(cells), console.width // widest))
    grid = Table.grid(padding=(0, 3))
    for _ in range(columns):
        grid.add_column(overflow="fold")
    for first in range(0, len(cells), columns):
        grid.add_row(*cells[first : first + columns])
    here = sum(1 for site in sites.values() if site["connected"])
    return Group(Text(f"{here} of {len(sites)} sites are connected", style="bold"), grid)


def _ended(runs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The last ones, the latest first."""
    return [run for run in reversed(runs) if run["state"] not in ("running", "waiting")][:_ENDED]


def _end_of(run: Mapping[str, Any]) -> RenderableType:
    style = _STYLES.get(run["state"], "")
    why = f": {run['failure']}" if run["failure"] else ""
    return Text.assemble((run["run"], "bold"), " ", (f"{run['state']}{why}", style),
                         overflow="fold")  # fmt: skip


def time_left(run: Mapping[str, Any], now: datetime) -> timedelta | None:
    """Until the run is expected to end; nothing where that is not known, or is past."""
    ends = run.get("ends_about")
    if ends is None or run["state"] != "running":
        return None
    left = datetime.fromisoformat(ends) - now
    return left if left > timedelta(0) else None


def _clock(left: timedelta) -> str:
    """Hours and minutes, the begun minute counted."""
    minutes = -(-int(left.total_seconds()) // 60)
    return f"{minutes // 60}:{minutes % 60:02d}"


def sparkline(values: Sequence[float | None]) -> str:
    """A bar for each value between the lowest and the highest; a space where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    top = len(_BARS) - 1
    return "".join(
        " " if value is None else _BARS[round((value - low) / span * top)] for value in values
    )
