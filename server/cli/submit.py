"""`fedthaw submit` and `fedthaw stop`: a run at this coordinator's sites."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from server.cli.options import (
    COORDINATOR,
    HomeOption,
    TensorBoardOption,
    with_tensorboard,
)
from server.cli.ordering import (
    config_of,
    keep_bundle,
    note_order,
    require_enough_registered,
    require_weights_here,
    tell_bundle,
    tell_unless_served,
)
from server.link.folder.home import Home, open_home
from server.link.folder.journal import Event, note
from server.link.jobs.orders import Order, read_order, read_orders, write_order
from server.link.progress.follow import (
    end_of_log,
    follow,
    is_at_work,
    wait_until_gone,
)
from server.run.failure import clear_failure
from server.run.paths import REPORT, default_folder
from server.run.process import STOP
from server.terminal.progress import reporting
from server.tracking.choose import require_packages
from shared.deployment.names import checked_run_name
from shared.errors import ConfigError
from shared.settings.file import given_settings
from shared.settings.overrides import OWN_OPTIONS
from shared.settings.setting import Scalar
from shared.settings.stage_values import replaced
from shared.storage.files import write_private
from shared.terminal.settings import ConfigOption, SetOption

app = typer.Typer(add_completion=False)
stop_app = typer.Typer(add_completion=False)


@app.command()
def submit(
    home: HomeOption = COORDINATOR,
    settings: SetOption = None,
    config: ConfigOption = None,
    name: Annotated[
        str | None, typer.Option(help="The run's name; default: its date and time.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Continue this run after its last round.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Do not wait for the run to end.")
    ] = False,
    tensorboard: TensorBoardOption = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print summary.json.")] = False,
) -> None:
    """Start a run at the coordinator's sites, and follow it to its end.

    Example: fedthaw submit --set weights=xrv --set rounds=20 --set min-sites=3

    Sites run only code and settings that their owners have approved: the plan is printed first. The
    exit code is the run's: 0 complete, 2 if a setting or a site must be fixed, else 1. Ctrl-C stops
    watching, not the run.
    """
    opened = open_home(home)
    os.umask(0o077)
    overrides = given_settings(config, settings) | with_tensorboard(tensorboard)
    order = _resumed(opened, resume, name, overrides) if resume else _new(opened, name, overrides)
    require_packages(order.config)
    require_enough_registered(opened, order.config)
    said = end_of_log(order)
    if resume and _is_running(opened, order):
        typer.echo(f"{order.name} is running already.", err=True)
    else:
        require_weights_here(opened, order.config)
        tell_bundle(order.bundle, [order.config], new=not resume)
        wait_until_gone(opened, order)
        _place(opened, order)
    if not detach:
        _follow(opened, order, said)
        _complete_report(order.folder)
        _show(order.folder, json_output)


@stop_app.command()
def stop(
    run: Annotated[
        str, typer.Argument(help="The run's name, as `fedthaw server status` shows it.")
    ],
    home: HomeOption = COORDINATOR,
) -> None:
    """Stop a run; its finished rounds are kept, and `fedthaw submit --resume` continues it.

    Example: fedthaw stop 20261120-101500-3f2a
    """
    opened = open_home(home)
    order = read_order(opened.runs / checked_run_name(run))
    if order.state != "waiting":
        raise ConfigError(f"The run {run} is {order.state} already.")
    write_private(order.folder / STOP, b"")
    note(opened, Event.stop, name=run)
    typer.echo(f"Stopping {run}; `fedthaw submit --resume {run}` continues it.", err=True)


def _place(home: Home, order: Order) -> None:
    """Put it where the server process finds it, and print which orders are before it."""
    write_order(order)
    (order.folder / STOP).unlink(missing_ok=True)
    # Last: from here on the server process may take it up.
    clear_failure(order.folder)
    note_order(home, order)
    tell_unless_served(home, "run")
    before = [
        other.name
        for other in read_orders(home.runs)
        if other.state == "waiting" and other.name != order.name
    ]
    queue = f" It begins after {', '.join(before)}." if before else ""
    typer.echo(f"Submitted {order.name}.{queue}", err=True)


def _follow(home: Home, order: Order, said: int) -> None:
    try:
        follow(home, order, said)
    except KeyboardInterrupt:
        typer.echo(
            f"No longer watching; {order.name} goes on. `fedthaw server status` shows it, "
            f"`fedthaw stop {order.name}` ends it.",
            err=True,
        )
        raise typer.Exit(130) from None


def _new(home: Home, name: str | None, overrides: dict[str, Scalar]) -> Order:
    config = config_of(_allowed(overrides))
    chosen = checked_run_name(name) if name else default_folder().name
    folder = home.runs / chosen
    if folder.exists():
        raise ConfigError(
            f"There is a run {chosen} already; continue it with --resume {chosen}, or choose "
            "another --name."
        )
    return Order(folder, _now(), keep_bundle(home), config)


def _resumed(home: Home, run: str, name: str | None, overrides: dict[str, Scalar]) -> Order:
    """The order of before, with what is given now; the bundle stays the approved one."""
    from server.run.folder import RESUMABLE_CHANGES

    if name:
        raise ConfigError("--resume continues a run under its own name; leave --name out.")
    order = read_order(home.runs / checked_run_name(run))
    if order.state == "complete":
        raise ConfigError(f"The run {run} is complete; its result is in {order.folder}.")
    if _is_running(home, order) and (overrides or (order.folder / STOP).exists()):
        raise ConfigError(
            f"The run {run} is still running; wait until `fedthaw server status` says stopped "
            f"(`fedthaw stop {run}` asks it to stop), and continue it then."
        )
    free = {item.replace("_", "-") for item in RESUMABLE_CHANGES} - {"resume", "out"}
    before = order.config.to_flat()
    changed = {key for key, value in _allowed(overrides).items() if before.get(key) != value}
    if fixed := sorted(changed - free):
        raise ConfigError(
            f"A continued run keeps its {', '.join(fixed)}; only {', '.join(sorted(free))} may "
            "change. Leave it out, or submit a new run."
        )
    config = config_of(replaced(before, overrides))
    return replace(order, submitted=_now(), config=config)


def _is_running(home: Home, order: Order) -> bool:
    """Whether the server works on it at this moment; no longer once it has an end or a failure."""
    return order.state == "waiting" and is_at_work(home, order)


def _allowed(overrides: dict[str, Scalar]) -> dict[str, Scalar]:
    reserved = OWN_OPTIONS & set(overrides)
    if reserved:
        raise ConfigError(
            f"{', '.join(sorted(reserved))} cannot be set here: the sites are those that are "
            "registered and connected, and runs lie in the coordinator's folder."
        )
    return overrides


def _complete_report(run: Path) -> None:
    """Write the report that the run's process was killed over."""
    from server.report.at_end import write_report_at_end

    if not (run / REPORT).exists():
        with reporting():
            write_report_at_end(run)


def _show(folder: Path, json_output: bool) -> None:
    from server.run.summary import read_summary, readable_summary
    from server.terminal.table import print_summary

    summary = read_summary(folder / "summary.json")
    if json_output:
        typer.echo((folder / "summary.json").read_text(encoding="utf-8"), nl=False)
    else:
        with readable_summary(folder / "summary.json"):
            print_summary(Console(), summary, str(folder))
        typer.echo(f"Report: {folder / REPORT}", err=True)


def _now() -> str:
    return datetime.now(UTC).isoformat()
