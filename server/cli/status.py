"""`fedthaw server status`: the server, its sites and its runs, once or again and again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from server.cli.options import COORDINATOR, HomeOption
from server.terminal.decimals import aligned, as_rounded
from server.terminal.progress import loss_in_words
from server.terminal.rough import time_in_words
from server.terminal.wall import sparkline, time_left
from server.terminal.watch import serving_in_words, utc_now, watch_again
from shared.errors import ConfigError

_TABLE_ROUNDS = 5


def status(
    home: HomeOption = COORDINATOR,
    watch: Annotated[
        bool, typer.Option("--watch", help="Update the whole screen every two seconds.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show the server, its sites, and its runs with their last rounds.

    Example: fedthaw server status --home coordinator --watch

    A round's AUROC is that of the model that entered it, on the pooled validation patients. --watch
    goes on while the server is restarted; into a file or a pipe it writes a line for each change.
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
        watch_again(console, lambda: overview(opened))


def _picture(document: dict[str, Any], console: Console) -> RenderableType:
    serving = serving_in_words(document)
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
    rows = []
    for run in runs:
        progress = run.get("progress", {})
        missing = {*progress.get("absent", ()), *progress.get("lost", ())}
        missing |= {f"{name} (unable)" for name in progress.get("unable", ())}
        rows.append(
            (
                run["run"],
                run["state"],
                f"{progress.get('round', 0)}/{run['rounds']}",
                _area(progress.get("auroc")),
                f"{len(progress.get('answered', ()))}/{len(progress.get('asked', ()))}",
                ""
                if (left := time_left(run, utc_now())) is None
                else time_in_words(left.total_seconds()),
                ", ".join(sorted(missing)),
            )
        )
    return _filled(table, rows)


def _rounds(run: dict[str, Any], console: Console) -> list[RenderableType]:
    """The last rounds of a run, and how loss and AUROC went over some more of them."""
    titles = ("round", "loss", "AUROC", "MB", "seconds", "sites", "refused", "absent")
    table = Table(*map(_whole, titles), box=None, pad_edge=False)
    rows = [
        (
            str(line["round"]), loss_in_words(line["loss"]), _area(line["auroc"]),
            f"{line['bytes'] / 1e6:.2f}", f"{line['seconds']:.1f}", str(line["sites"]),
            ", ".join(line["refused"]), ", ".join(line["absent"]),
        )
        for line in run["last"][-_TABLE_ROUNDS:]
    ]  # fmt: skip
    _filled(table, rows)
    parts: list[RenderableType] = [Text(f"\nThe last rounds of {run['run']}:"), table]
    if len(run["last"]) > 1 and not console.options.ascii_only:
        for title, key in (("loss ", "loss"), ("AUROC", "auroc")):
            parts.append(Text(f"{title}  {sparkline([line[key] for line in run['last']])}"))
    return parts


def _filled(table: Table, rows: Sequence[Sequence[str]]) -> Table:
    for row in aligned(rows):
        table.add_row(*row)
    return table


def _area(value: float | None) -> str:
    return "" if value is None else as_rounded(value)
