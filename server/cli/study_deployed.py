"""`fedthaw study` at a coordinator: submits the runs and the questions, and waits for them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from server.cli.paths import NAMED_WEIGHTS, with_absolute_weights
from server.link.follow import POLL_SECONDS
from server.link.home import Home, open_home
from server.link.lock import is_served
from server.link.orders import Order, read_order
from server.run.failure import read_failure
from server.study.cells import Cell, cells_of
from server.study.deployed import require_all_sites, submit_study
from server.study.plan import StudyPlan
from server.study.writing import keep_to_plan
from shared.config import RunConfig, parse_run_config
from shared.deployment.names import checked_site_name
from shared.errors import ConfigError, RunError, UserError
from shared.files import make_private_folder, write_private
from shared.setting import Scalar


def submit_and_follow(
    plan: StudyPlan, settings: Mapping[str, Scalar], home: Path, name: str
) -> Path:
    """Submit what is not complete and wait until the study is; returns its folder.

    Raises what ended a run or the questions. Ctrl-C ends the watching, not the study.
    """
    require_all_sites(plan)
    opened = open_home(home)
    os.umask(0o077)
    out = opened.runs / checked_site_name(name)
    if (out / "order.json").exists() and not (out / "plan.json").exists():
        raise ConfigError(f"There is a run {name} already; choose another --name.")
    runs = [(cell, _config(cell, plan, settings)) for cell in cells_of(plan)]
    keep_to_plan(out, plan, settings)
    _, first = runs[0]
    orders = submit_study(Order(out, "", _bundle(opened), first), runs)
    typer.echo(f"Submitted {len(orders)} of {len(runs) + 1} orders of {name}.", err=True)
    if orders and not is_served(opened):
        typer.echo(
            "No server process is running here: the study begins when `fedthaw server run "
            f"--home {home}` is started.",
            err=True,
        )
    try:
        _follow(orders, [cell for cell, _ in runs], out)
    except KeyboardInterrupt:
        typer.echo(
            f"No longer watching; {name} goes on. `fedthaw server status` shows its runs.", err=True
        )
        raise typer.Exit(130) from None
    return out


def _config(cell: Cell, plan: StudyPlan, settings: Mapping[str, Scalar]) -> RunConfig:
    config = with_absolute_weights(parse_run_config(cell.settings(plan.folds, settings)))
    if config.weights not in NAMED_WEIGHTS and not Path(config.weights).is_file():
        raise ConfigError(
            f"There is no weights file {config.weights}; the coordinator needs the same one as its "
            "sites."
        )
    return config


def _bundle(home: Home) -> str:
    from shared.bundle import build_bundle

    bundle = build_bundle()
    make_private_folder(home.path / "bundles")
    write_private(home.path / "bundles" / f"{bundle.digest}.fab", bundle.content)
    typer.echo(f"Bundle: {bundle.digest}", err=True)
    return bundle.digest


def _follow(orders: Sequence[Order], cells: Sequence[Cell], out: Path) -> None:
    named = {cell.folder(out): cell.named() for cell in cells} | {out: "counts and comparisons"}
    waiting = {order.folder for order in orders}
    while waiting:
        for folder in sorted(waiting):
            state = read_order(folder).state
            if state == "complete":
                waiting.discard(folder)
                done = len(named) - len(waiting)
                typer.echo(f"{done}/{len(named)}: {named[folder]}", err=True)
            elif state != "waiting":
                _raise(folder, named[folder])
        time.sleep(POLL_SECONDS)


def _raise(folder: Path, what: str) -> None:
    failure = read_failure(folder)
    if failure is None:  # it is being tried again just now
        return
    kind = UserError if failure.exit_code == 2 else RunError
    raise kind(
        f"{what}: {failure.sentence} What was done is kept, and the other runs go on: mend this "
        "and give the study's command again."
    )
