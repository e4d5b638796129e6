"""`fedthaw study` at a coordinator: submits the runs and the questions, and waits for them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

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
from server.link.jobs.orders import Order, read_order
from server.link.progress.follow import POLL_SECONDS
from server.results.plan import StudyPlan
from server.run.failure import read_failure
from server.run.process import STOP
from server.study.cells import Cell, cells_of
from server.study.deployed import (
    require_all_sites,
    require_scores_are_kept,
    runs_left_out,
    submit_study,
)
from server.study.document import is_study
from server.study.pace import Pace
from server.study.plan import of_arm
from server.study.plan_file import KeptPlan, keep_to_plan
from server.study.same_runs import require_same_runs
from server.tracking.choose import require_packages
from shared.deployment.names import checked_run_name
from shared.errors import ConfigError, RunError, UserError
from shared.settings.config import RunConfig
from shared.settings.setting import Scalar
from shared.storage.files import write_private


def submit_and_follow(
    plan: StudyPlan, settings: Mapping[str, Scalar], home: Path, name: str
) -> Path:
    """Submit what is not complete and wait until the study is; returns its folder.

    Raises what ended a run or the questions. Ctrl-C ends the watching, not the study.
    """
    require_all_sites(plan)
    opened = open_home(home)
    os.umask(0o077)
    out = opened.runs / checked_run_name(name)
    if out.exists() and not is_study(out):
        raise ConfigError(f"There is a run {name} already; choose another --name.")
    runs = [(cell, _config_of(cell, plan, settings)) for cell in cells_of(plan)]
    _, first = runs[0]
    require_packages(first)
    for cell, config in runs:
        with of_arm(cell.arm):
            require_enough_registered(opened, config)
    for weights in {(one.weights, one.backbone, one.weights_sha256): (cell, one)
                    for cell, one in runs}.values():  # fmt: skip
        with of_arm(weights[0].arm):
            require_weights_here(opened, weights[1])
    wanted = KeptPlan(plan, dict(settings))
    require_scores_are_kept(out, wanted)
    require_same_runs(runs, out)
    _stop(opened, name, runs_left_out(out, wanted))  # before the plan forgets them
    keep_to_plan(out, wanted)
    bundle = keep_bundle(opened)
    tell_bundle(bundle, [config for _, config in runs], new=True)
    orders = submit_study(Order(out, "", bundle, first), runs)
    for order in orders:
        note_order(opened, order)
    typer.echo(f"Submitted {len(orders)} of {len(runs) + 1} orders of {name}.", err=True)
    if orders:
        tell_unless_served(opened, "study")
    try:
        _follow(orders, [cell for cell, _ in runs], out)
    except KeyboardInterrupt:
        typer.echo(
            f"No longer watching; {name} goes on. `fedthaw server status` shows its runs.", err=True
        )
        raise typer.Exit(130) from None
    return out


def _stop(home: Home, study: str, orders: Sequence[Order]) -> None:
    """Stop runs that a smaller study has no longer: they are before its own in the queue."""
    for order in orders:
        write_private(order.folder / STOP, b"")
        note(home, Event.stop, name=order.name)
    if orders:
        typer.echo(
            f"Runs that {study} no longer has, stopped: {len(orders)}. They continue if it has "
            "them again.",
            err=True,
        )


def _config_of(cell: Cell, plan: StudyPlan, settings: Mapping[str, Scalar]) -> RunConfig:
    with of_arm(cell.arm):
        return config_of(cell.settings(plan.folds, settings))


def _follow(orders: Sequence[Order], cells: Sequence[Cell], out: Path) -> None:
    named = {cell.folder(out): cell.named() for cell in cells} | {out: "counts and comparisons"}
    waiting = {order.folder for order in orders}
    pace = Pace(len(named) - len(waiting))
    while waiting:
        for folder in sorted(waiting):
            state = read_order(folder).state
            if state == "complete":
                waiting.discard(folder)
                done = len(named) - len(waiting)
                left = pace.left(done, len(named))
                typer.echo(f"{done}/{len(named)}: {named[folder]}{left}", err=True)
            elif state != "waiting":
                _raise(folder, named[folder])
        time.sleep(POLL_SECONDS)


def _raise(folder: Path, what: str) -> None:
    failure = read_failure(folder)
    if failure is None:  # it is being tried again just now
        return
    kind = UserError if failure.exit_code == 2 else RunError
    raise kind(
        f"{what}: {failure.sentence} What was done is kept, and the other runs go on: fix this "
        "and rerun the study's command."
    )
