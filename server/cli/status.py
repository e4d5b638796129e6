"""`fedthaw server status`: the server, its sites and its runs, once or again and again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from server.cli.options import COORDINATOR, HomeOption
from server.terminal.progress import as_rounded, auroc_in_words, loss_in_words
from shared.errors import ConfigError

SECONDS = 2.0
"""Between two looks with --watch."""
_TABLE_ROUNDS = 5
_BARS = "▁▂▃▄▅▆▇█"


def status(
    home: HomeOption = COORDINATOR,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every two seconds until Ctrl-C.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show the server, its sites, its runs and their last rounds at this moment.

    Example: fedthaw server status --home coordinator --watch

    The AUROC of a round is that of the pooled validation of the model that entered it.
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
    """Redraw it on a terminal; elsewhere print a line whenever a run has something new."""
    try:
        if not console.is_terminal:
            said: set[str] = set()
            while True:
                for line in map(describe_run, look()["runs"]):
                    if line not in said:
                        said.add(line)
                        typer.echo(line)
                time.sleep(SECONDS)
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(_picture(look(), console), refresh=True)
                time.sleep(SECONDS)
    except KeyboardInterrupt:
        return


def describe_run(run: dict[str, Any]) -> str:
    """Where a run stands, in a line."""
    words = f"{run['run']}: {run['state']}"
    if run["failure"]:
        return f"{words}: {run['failure']}"
    if not run["last"]:
        return f"{words}, no round of {run['rounds']} is finished"
    last = run["last"][-1]
    away = "".join(
        f", {what}: {', '.join(last[what])}" for what in ("refused", "absent") if last[what]
    )
    return (
        f"{words}, {last['round']} of {run['rounds']} rounds, loss {loss_in_words(last['loss'])}, "
        f"AUROC {auroc_in_words(last['auroc'])}, {last['bytes'] / 1e6:.2f} MB, "
        f"{last['seconds']:.1f} s, {last['sites']} sites{away}"
    )


def sparkline(values: list[float | None]) -> str:
    """A bar for each value between the lowest and the highest; a space where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    top = len(_BARS) - 1
    return "".join(
        " " if value is None else _BARS[round((value - low) / span * top)] for value in values
    )


def _picture(document: dict[str, Any], console: Console) -> RenderableType:
    serving = "Serving." if document["serving"] else "No server process is running here."
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
    table = Table(_whole("site"), "connected", "since (UTC)", box=None, pad_edge=False)
    for name, site in sites.items():
        since = (site["since"] or "").split(".")[0]
        here = "yes, unable to take part" if site["problem"] else "yes"
        table.add_row(name, here if site["connected"] else "no", since)
    return table


def _runs(runs: list[dict[str, Any]]) -> Table:
    table = Table(_whole("run"), "state", "round", "AUROC", "asked", "answered",
                  _whole("not there"), box=None, pad_edge=False)  # fmt: skip
    for run in runs:
        progress = run.get("progress", {})
        missing = {*progress.get("absent", ()), *progress.get("lost", ())}
        missing |= {f"{name} (unable)" for name in progress.get("unable", ())}
        table.add_row(
            run["run"],
            run["state"],
            f"{progress.get('round', 0)}/{run['rounds']}",
            _area(progress.get("auroc")),
            str(len(progress.get("asked", ()))),
            str(len(progress.get("answered", ()))),
            ", ".join(sorted(missing)),
        )
    return table


def _rounds(run: dict[str, Any], console: Console) -> list[RenderableType]:
    """The last rounds of a run, and how loss and AUROC went over some more of them."""
    table = Table("round", "loss", "AUROC", "MB", "seconds", "sites",
                  _whole("refused"), _whole("absent"), box=None, pad_edge=False)  # fmt: skip
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


def _area(value: float | None) -> str:
    return "" if value is None else as_rounded(value, 3)
