"""`fedthaw site log`: what has left this site."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.json_file import DamagedFile, typed
from shared.plain import one_line

_LONGEST_CELL = 200


def log(
    folder: Annotated[Path, typer.Argument(help="The site's folder, with its site.toml.")],
    last: Annotated[int, typer.Option(min=1, help="How many messages, the latest ones.")] = 20,
    json_output: Annotated[
        bool, typer.Option("--json", help="Everything that was sent, a JSON object a line.")
    ] = False,
) -> None:
    """Show what this site has sent: when, to whom, for which run, how much and what.

    Example: fedthaw site log hospitals/north --last 5
    """
    from client.node.audit import read
    from client.node.home import open_site_home, site_home

    home = open_site_home(site_home(folder), joined=False)
    entries = list(read(home.audit))[-last:]
    if json_output:
        for entry in entries:
            typer.echo(json.dumps(entry))
    elif not entries:
        typer.echo("Nothing has left this site yet.", err=True)
    else:
        readable = [entry for entry in entries if _is_entry(entry)]
        _print(readable)
        if len(readable) < len(entries):
            typer.echo(
                f"{len(entries) - len(readable)} lines of {home.audit} are damaged and not shown; "
                "--json prints them as they are.",
                err=True,
            )


class _Error(TypedDict):
    reason: str


class _Content(TypedDict, total=False):
    delta: dict[str, str]
    error: _Error
    site: dict[str, Any]
    metrics: dict[str, Any]


class _Entry(TypedDict):
    at: str
    to: str
    type: str
    round: str
    bytes: int
    content: NotRequired[_Content]


def _is_entry(entry: object) -> bool:
    try:
        counts = typed(entry, _Entry).get("content", {}).get("metrics", {})
        typed([counts.get(key, []) for key in ("positives", "negatives")], list[list[int]])
    except DamagedFile:
        return False
    return True


def _print(entries: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("when (UTC)", "to", "message", "round", "bytes", "tensors", "also"):
        table.add_column(title, overflow="fold", justify="right" if title == "bytes" else "left")
    for entry in entries:
        content = entry.get("content", {})
        cells = (
            entry["at"].replace("+00:00", ""),
            entry["to"],
            entry["type"],
            entry["round"],
            f"{entry['bytes']:,}",
            _tensors(content.get("delta", {})),
            _also(content),
        )
        table.add_row(*map(_cell, cells))
    console = Console()
    console.print(table) if console.is_terminal else Console(width=160).print(table)


def _cell(value: object) -> Text:
    """As it is: some of it is the coordinator's, and neither markup nor a command to a terminal."""
    return Text(one_line(str(value), _LONGEST_CELL))


def _tensors(tensors: dict[str, str]) -> str:
    names = sorted({name.split(".")[0] for name in tensors})
    return f"{len(tensors)} of {', '.join(names)}" if tensors else ""


def _also(content: dict[str, Any]) -> str:
    """Counts that were sent, or the error."""
    if "error" in content:
        return str(content["error"]["reason"])
    if "site" in content:
        site = content["site"]
        return f"{site.get('images')} images of {site.get('patients')} patients"
    metrics = content.get("metrics", {})
    positives, negatives = (sum(metrics.get(key, [])) for key in ("positives", "negatives"))
    return f"histogram of {positives} positive and {negatives} negative patients" if metrics else ""
