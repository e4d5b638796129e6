"""What `fedthaw site log` and `fedthaw server log` have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from shared.audit.log import AuditLog, read
from shared.audit.syslog import send_all
from shared.audit.verify import Verification, verify

LastOption = Annotated[int, typer.Option(min=1, help="How many of the latest entries.")]
AllOption = Annotated[bool, typer.Option("--all", help="All entries.")]
VerifyOption = Annotated[
    bool, typer.Option("--verify", help="Check that no entry was changed, removed or cut off.")
]
SyslogOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Send entries to this syslog server: /dev/log, HOST or HOST:PORT (UDP).",
    ),
]
Entries = Sequence[dict[str, Any]]


def check_log(log: AuditLog, json_output: bool) -> None:
    """Print whether the log is intact; exit code 1 where it is not."""
    found = verify(log)
    if json_output:
        document = {
            "intact": found.intact,
            "entries": found.entries,
            "unchained": found.unchained,
            "torn": found.torn,
            "faults": list(found.faults),
        }
        typer.echo(json.dumps(document))
    else:
        typer.echo(_sentence(log, found))
    if not found.intact:
        raise typer.Exit(1)


def show_log(
    log: AuditLog,
    last: int | None,
    *,
    json_output: bool,
    syslog: str | None,
    program: str,
    nothing: str,
    show: Callable[[Entries], None],
) -> None:
    """Print the `last` entries (all with None), by `show` or as JSON, or send them to a syslog.

    `nothing` is what is said of an empty log.
    """
    entries = list(read(log.path))
    chosen = entries if last is None else entries[-last:]
    if syslog is not None:
        sent, lost = send_all(chosen, syslog, program)
        typer.echo(f"Sent {sent} entries to {syslog}.", err=True)
        if lost:
            typer.echo(f"{lost} entries were not accepted; is the service running?", err=True)
            raise typer.Exit(1)
    elif json_output:
        for entry in chosen:
            typer.echo(json.dumps(entry))
    elif not chosen:
        typer.echo(nothing, err=True)
    else:
        show(chosen)


def _sentence(log: AuditLog, found: Verification) -> str:
    if not found.intact:
        return "\n".join(
            (f"{log.path} is NOT as it was written:", *(f"  {fault}" for fault in found.faults))
        )
    also = []
    if found.unchained:
        also.append(f"{found.unchained} older entries from before entries were chained")
    if found.torn:
        also.append(f"{found.torn} incomplete lines left by a crash")
    others = f" (and {', '.join(also)})" if also else ""
    return f"Intact: {found.entries} entries{others}; none was changed, removed or cut off."
