"""`fedthaw server log`: who took part, and who registered sites, submitted and stopped runs."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.cli.options import COORDINATOR, HomeOption
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

_LONGEST_CELL = 200
_OWN_COLUMNS = ("at", "n", "event", "by", "before", "headless", "chain")


def log(
    home: HomeOption = COORDINATOR,
    last: LastOption = 20,
    everything: AllOption = False,
    json_output: Annotated[
        bool,
        typer.Option("--json", help="Every field of each entry, one JSON object per line."),
    ] = False,
    verify: VerifyOption = False,
    syslog: SyslogOption = None,
) -> None:
    """Show who connected, who was refused, and who registered sites or submitted and stopped runs.

    Example: fedthaw server log --last 5

    Export all of it with --all --json > FILE, or with --all --syslog ADDRESS.
    """
    from server.link.folder.home import open_home

    opened = open_home(home)
    if verify:
        check_log(opened.audit, json_output)
        return
    show_log(
        opened.audit,
        None if everything else last,
        json_output=json_output,
        syslog=syslog,
        program="fedthaw-server",
        nothing="Nothing has happened here yet.",
        show=_print,
    )


def _print(entries: Entries) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("when (UTC)", "event", "what", "by"):
        table.add_column(title, overflow="fold")
    for entry in entries:
        details = [
            f"{key} {value}" if key != "name" else str(value)
            for key, value in entry.items()
            if key not in _OWN_COLUMNS
        ]
        when = str(entry.get("at", "")).replace("+00:00", "")
        cells = (when, entry.get("event", ""), "; ".join(details), entry.get("by", ""))
        table.add_row(*(Text(one_line(str(cell), _LONGEST_CELL)) for cell in cells))
    console = Console()
    console.print(table) if console.is_terminal else Console(width=160).print(table)
