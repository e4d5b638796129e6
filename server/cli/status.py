"""`fedthaw server status`: the server, its sites and its runs, once or again and again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from server.cli.options import COORDINATOR, HomeOption
from server.terminal.progress import as_rounded, auroc_in_words, loss_in_words
from server.terminal.wall import Moment, in_words, sparkline, time_left, wall
from shared.errors import ConfigError, FedThawError

SECONDS = 2.0
"""Between two looks with --watch."""
_STEP = 0.25
"""Between two looks at the size of the terminal."""
_TABLE_ROUNDS = 5


def status(
    home: HomeOption = COORDINATOR,
    watch: Annotated[
        bool, typer.Option("--watch", help="Fill the screen, every two seconds, until Ctrl-C.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show the server, its sites, its runs and their last rounds at this moment.

    Example: fedthaw server status --home coordinator --watch

    The AUROC of a round is that of the pooled validation of the model that entered it. --watch goes
    on while the server is restarted; into a file or a pipe it writes a line for each change.
    """
    from server.link.folder.home import open_home
    from server.link.progress.overview import overview

    opened = open_home(home)
    console = Console()
    if watch and json_output:
        raise ConfigError("--watch is for people to read; leave it or --json out.")
    if json_output:
        typer.echo(json.dumps(overview(opened), indent=1))
    elif not watch:
        console.print(_picture(overview(opened), console))
    else:
        _watch(console, lambda: overview(opened))


def _watch(console: Console, look: Callable[[], dict[str, Any]]) -> None:
    """Fill the terminal and redraw it; elsewhere print a line for each thing that is new."""
    try:
        if console.is_terminal and not console.is_dumb_terminal:
            _fill(console, look)
        else:
            _print_changes(look)
    except KeyboardInterrupt:
        return


def _fill(console: Console, look: Callable[[], dict[str, Any]]) -> None:
    moment, size = Moment({"sites": {}}, utc_now(), "nothing has been read yet"), console.size
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            moment = _look_again(moment, look)
            live.update(wall(moment, console), refresh=True)
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                time.sleep(_STEP)
                if console.size != size:  # the window has another size
                    size = console.size
                    live.update(wall(moment, console), refresh=True)


def _look_again(before: Moment, look: Callable[[], dict[str, Any]]) -> Moment:
    """What is there now; what was seen last, and why no more, where the folder cannot be read."""
    try:
        return Moment(look(), utc_now())
    except (FedThawError, OSError) as error:
        return replace(before, complaint=str(error))


def _print_changes(look: Callable[[], dict[str, Any]]) -> None:
    said: dict[str, str] = {}
    moment = Moment({}, utc_now())
    while True:
        moment = _look_again(moment, look)
        for what, line in _lines(moment):
            if said.get(what) != line:
                said[what] = line
                typer.echo(f"{utc_now():%Y-%m-%d %H:%M:%S} {line}")
        time.sleep(SECONDS)


def _lines(moment: Moment) -> Iterator[tuple[str, str]]:
    """What a line is about, and the line."""
    document = moment.document
    if moment.complaint:
        yield "", f"The coordinator's folder cannot be read: {moment.complaint}"
        return
    yield "", _serving(document)
    for name, site in document["sites"].items():
        there = "connected" if site["connected"] else "not connected"
        why = f", cannot take part: {site['problem']}" if site["problem"] else ""
        yield f"site {name}", f"{name} is {there}{why}"
    for run in document["runs"]:
        yield f"run {run['run']}", describe_run(run)


def _serving(document: Mapping[str, Any]) -> str:
    return "Serving." if document["serving"] else "No server process is running here."


def describe_run(run: dict[str, Any]) -> str:
    """Where a run stands, in a line."""
    words = f"{run['run']}: {run['state']}"
    left = time_left(run, utc_now())
    ends = f", ends about {run['ends_about'][:16]} UTC" if left is not None else ""
    if run["failure"]:
        return f"{words}: {run['failure']}"
    if not run["last"]:
        return f"{words}, no round of {run['rounds']} is finished{ends}"
    last = run["last"][-1]
    away = "".join(
        f", {what}: {', '.join(last[what])}" for what in ("refused", "absent") if last[what]
    )
    return (
        f"{words}, {last['round']} of {run['rounds']} rounds, loss {loss_in_words(last['loss'])}, "
        f"AUROC {auroc_in_words(last['auroc'])}, {last['bytes'] / 1e6:.2f} MB, "
        f"{last['seconds']:.1f} s, {last['sites']} sites{away}{ends}"
    )


def _picture(document: dict[str, Any], console: Console) -> RenderableType:
    serving = _serving(document)
    runs = document["runs"]
    shown = [run for run in runs if run["state"] == "running"] or runs[-1:]
    rounds = [part for run in shown if run["last"] for part in _rounds(run, console)]
    notes = [
        Text(f"{run['run']}: {note}", overflow="fold")
        for run in runs
        if (note := run.get("progress", {}).get("note")) and run["state"] == "running"
    ]
    if document["warning"]:
        serving = f"{serving}\n{document['warning']}"
    notes += [Text(warning, overflow="fold") for warning in document["key_warnings"]]
    notes += [
        Text(f"{run['run']} {run['state']}: {run['failure']}", overflow="fold")
        for run in runs
        if run["failure"]
    ]
    notes += [
        Text(f"{name} cannot take part now: {site['problem'].rstrip('.')}.", overflow="fold")
        for name, site in document["sites"].items()
        if site["problem"]
    ]
    return Group(serving, _sites(document["sites"]), _runs(runs), *rounds, *notes)


def _whole(title: str) -> Column:
    """A column of names, which are never cut: what does not fit is broken over lines."""
    return Column(title, overflow="fold")


def _sites(sites: dict[str, Any]) -> Table:
    table = Table(_whole("site"), _whole("connected"), _whole("since (UTC)"),
                  box=None, pad_edge=False)  # fmt: skip
    for name, site in sites.items():
        since = (site["since"] or "").split(".")[0]
        here = "yes, unable to take part" if site["problem"] else "yes"
        table.add_row(name, here if site["connected"] else "no", since)
    return table


def _runs(runs: list[dict[str, Any]]) -> Table:
    titles = ("run", "state", "round", "AUROC", "replies", "left", "not there")
    table = Table(*map(_whole, titles), box=None, pad_edge=False)
    for run in runs:
        progress = run.get("progress", {})
        missing = {*progress.get("absent", ()), *progress.get("lost", ())}
        missing |= {f"{name} (unable)" for name in progress.get("unable", ())}
        table.add_row(
            run["run"],
            run["state"],
            f"{progress.get('round', 0)}/{run['rounds']}",
            _area(progress.get("auroc")),
            f"{len(progress.get('answered', ()))}/{len(progress.get('asked', ()))}",
            "" if (left := time_left(run, utc_now())) is None else in_words(left),
            ", ".join(sorted(missing)),
        )
    return table


def _rounds(run: dict[str, Any], console: Console) -> list[RenderableType]:
    """The last rounds of a run, and how loss and AUROC went over some more of them."""
    titles = ("round", "loss", "AUROC", "MB", "seconds", "sites", "refused", "absent")
    table = Table(*map(_whole, titles), box=None, pad_edge=False)
    for line in run["last"][-_TABLE_ROUNDS:]:
        table.add_row(
            str(line["round"]), loss_in_words(line["loss"]), _area(line["auroc"]),
            f"{line['bytes'] / 1e6:.2f}", f"{line['seconds']:.1f}", str(line["sites"]),
            ", ".join(line["refused"]), ", ".join(line["absent"]),
        )  # fmt: skip
    parts: list[RenderableType] = [Text(f"\nThe last rounds of {run['run']}:"), table]
    if len(run["last"]) > 1 and not console.options.ascii_only:
        for title, key in (("loss ", "loss"), ("AUROC", "auroc")):
            parts.append(Text(f"{title}  {sparkline([line[key] for line in run['last']])}"))
    return parts


def utc_now() -> datetime:
    """The time at this moment."""
    return datetime.now(UTC)


def _area(value: float | None) -> str:
    return "" if value is None else as_rounded(value, 3)
