"""`fedthaw site log`: what has left this site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.cli.sent import in_words, require_counts
from shared.audit.cli import (
    AllOption,
    Entries,
    LastOption,
    SyslogOption,
    VerifyOption,
    check_log,
    show_log,
)
from shared.plain import one_line
from shared.storage.json_file import DamagedFile, typed

_LONGEST_CELL = 200


def log(
    folder: Annotated[Path, typer.Argument(help="The site's folder, with its site.toml.")],
    last: LastOption = 20,
    everything: AllOption = False,
    json_output: Annotated[
        bool,
        typer.Option("--json", help="Every field of each entry, one JSON object per line."),
    ] = False,
    verify: VerifyOption = False,
    syslog: SyslogOption = None,
) -> None:
    """Show what this site was asked and what it sent: when, for which run, what and how much.

    Example: fedthaw site log hospitals/north --last 5

    Export all of it with --all --json > FILE, or with --all --syslog ADDRESS.
    """
    from client.node.enrolment import open_site_home
    from client.node.home import site_home

    home = open_site_home(site_home(folder), joined=False)
    if verify:
        check_log(home.audit, json_output)
        return
    show_log(
        home.audit,
        None if everything else last,
        json_output=json_output,
        syslog=syslog,
        program="fedthaw-site",
        nothing="Nothing has left this site yet.",
        show=_print,
    )


class _Error(TypedDict):
    reason: str


class _Content(TypedDict, total=False):
    delta: dict[str, str]
    error: _Error
    site: dict[str, Any]
    report: dict[str, Any]
    metrics: dict[str, Any]


class _Entry(TypedDict):
    at: str
    to: NotRequired[str]
    type: NotRequired[str]
    event: NotRequired[str]
    by: NotRequired[str]
    round: NotRequired[str]
    bytes: NotRequired[int]
    content: NotRequired[_Content]


def _is_entry(entry: object) -> bool:
    try:
        require_counts(typed(entry, _Entry).get("content", {}).get("metrics", {}))
    except DamagedFile:
        return False
    return True


def _print(entries: Entries) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("when (UTC)", "to", "message", "round", "bytes", "tensors", "also"):
        table.add_column(title, overflow="fold", justify="right" if title == "bytes" else "left")
    readable = [entry for entry in entries if _is_entry(entry)]
    for entry in readable:
        content = entry.get("content", {})
        cells = (
            str(entry.get("at", "")).replace("+00:00", ""),
            entry.get("to", ""),
            entry.get("type", entry.get("event", "")),
            entry.get("round", ""),
            f"{entry['bytes']:,}" if "bytes" in entry else "",
            _tensors(content.get("delta", {})),
            _also(content) if "bytes" in entry else entry.get("by", ""),
        )
        table.add_row(*map(_cell, cells))
    console = Console()
    console.print(table) if console.is_terminal else Console(width=160).print(table)
    if damaged := len(entries) - len(readable):
        typer.echo(
            f"{damaged} lines of the log are damaged and not shown; --json prints all as they are.",
            err=True,
        )


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
    return in_words(content.get("metrics", {}), content.get("report", {}))
