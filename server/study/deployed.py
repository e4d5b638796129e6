"""A study at a coordinator's sites: its runs are submitted, and after them its questions.

The study's own order lies in a folder with a plan. Its process, which the coordinator starts after
those of the runs, asks the sites for counts and sums instead of training.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flwr.serverapp import Grid

from server.federation.connected import Registry, connected
from server.federation.messaging import POLL_SECONDS
from server.link.jobs.orders import ORDER, Order, read_order, write_order
from server.results.plan import StudyPlan
from server.results.shown import Shown
from server.results.study import ClassStudyResult, StudyResult
from server.run.failure import clear_failure, read_failure
from server.run.process import STOP
from server.study.cells import SUBMITTED, Cell, cells_of, is_done, summary_of
from server.study.document import FILE, PLAN
from server.study.plan_file import KeptPlan, is_new, read_plan
from server.study.same_runs import require_same_runs
from shared.deployment.names import is_site_name
from shared.errors import ConfigError, RunError
from shared.limits import DAYS_KEPT
from shared.settings.config import RunConfig


def require_all_sites(plan: StudyPlan) -> None:
    """ConfigError for arms of some sites or of data in one place: a coordinator's runs take all."""
    for arm in plan.arms:
        if arm.sites or arm.pooled:
            raise ConfigError(
                f"Arm '{arm.name}' is of some sites alone or of all data in one place; at a "
                "coordinator every run takes all sites that are there. Leave the arm out, or give "
                "folders of sites to simulate."
            )


def require_scores_are_kept(out: Path, wanted: KeptPlan) -> None:
    """ConfigError where a study is to grow whose sites have forgotten the scores it begins with."""
    result = out / FILE
    if not result.exists() or not is_new(out, wanted):
        return
    asked = datetime.fromtimestamp(result.stat().st_mtime, UTC)
    if datetime.now(UTC) - asked > timedelta(days=DAYS_KEPT):
        raise ConfigError(
            f"The study {out.name} cannot grow any more: sites keep scores for {DAYS_KEPT} days "
            f"after they were asked for them, and its result is of {asked:%d %B %Y}. Choose "
            "another --name, under which all its runs are trained."
        )


def runs_left_out(out: Path, wanted: KeptPlan) -> list[Order]:
    """Runs that the study had, this plan has no longer, and that are still to be trained.

    ConfigError as `is_new`.
    """
    if not (out / PLAN).exists() or not is_new(out, wanted):
        return []
    kept = {cell.folder(out) for cell in cells_of(wanted.plan)}
    before = dict.fromkeys(cell.folder(out) for cell in cells_of(read_plan(out)))
    left = [folder for folder in before if folder not in kept and (folder / ORDER).exists()]
    return [order for order in map(read_order, left) if order.state == "waiting"]


def submit_study(study: Order, runs: Sequence[tuple[Cell, RunConfig]]) -> list[Order]:
    """Submit what is not complete: the runs in order, then the study's questions.

    `study` has the folder, the bundle and the configuration that the sites answer under. A run
    that was begun goes on with its own bundle. ConfigError where a folder holds another run.
    """
    study.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (study.folder / SUBMITTED).touch()
    for cell, _ in runs:
        _require_short(cell.folder(study.folder).name, cell)
    # Again: of a new study it shows only here where its runs lie.
    require_same_runs(runs, study.folder)
    wanted = [Order(cell.folder(study.folder), "", study.bundle, config) for cell, config in runs]
    now, orders = datetime.now(UTC), []
    for number, order in enumerate([*wanted, study]):
        if order.state == "complete":
            continue
        begun = (order.folder / "config.json").exists()
        kept = read_order(order.folder) if begun else order
        clear_failure(order.folder)
        (order.folder / STOP).unlink(missing_ok=True)
        submitted = (now + timedelta(microseconds=number)).isoformat()
        orders.append(Order(kept.folder, submitted, kept.bundle, kept.config))
        write_order(orders[-1])
    return orders


def _require_short(name: str, cell: Cell) -> None:
    if not is_site_name(name):
        raise ConfigError(
            f"The study's name and that of arm '{cell.arm.name}' make the run name {name} of "
            f"{len(name)} characters; 64 are allowed. Shorten one of them."
        )


def ask_for_study(
    grid: Grid, config: RunConfig, registry: Registry
) -> Shown[StudyResult] | Shown[ClassStudyResult]:
    """What the study's own process does: ask the sites; what may be shown of the result.

    RunError where a run is not complete or a site that took part is not there in time.
    """
    # Here, since the command that submits a study waits for days without what asks and computes.
    from server.study.asking import StudySites
    from server.study.gather import study_result

    out = Path(config.out)
    plan = read_plan(out)
    cells = list(cells_of(plan))
    for cell in cells:
        if not is_done(cell, out):
            failure = read_failure(cell.folder(out))
            raise RunError(
                f"The run {cell.folder(out).name} is not complete"
                + (f" ({failure.sentence})" if failure else "")
                + "; rerun the study's command, which continues it."
            )
    sites = _sites(cells, out)
    nodes = _wait_for(sites, grid, config, registry)
    asked = StudySites(grid, nodes, config.round_timeout, config.predicts)
    return study_result(plan, out, asked)


def _sites(cells: list[Cell], out: Path) -> tuple[str, ...]:
    """The sites of the first run, which must be those of all."""
    sites = tuple(sorted(summary_of(cells[0], out)["site"]))
    for cell in cells:
        summary = summary_of(cell, out)
        if tuple(sorted(summary["site"])) != sites or summary.get("missing"):
            raise RunError(
                f"The run {cell.folder(out).name} ended with other sites "
                f"({', '.join(sorted(summary['site'])) or 'none'}) than "
                f"{cells[0].folder(out).name} ({', '.join(sites)}); folds can be added up only "
                "if all sites took part in all of them. Remove its folder and rerun the study's "
                "command, with min-sites set to the number of sites."
            )
    return sites


def _wait_for(
    sites: tuple[str, ...], grid: Grid, config: RunConfig, registry: Registry
) -> dict[str, int]:
    """The sites' nodes by name."""
    deadline = time.monotonic() + config.round_timeout
    while True:
        nodes = {one.name: node for node, one in connected(grid, registry).items()}
        missing = [name for name in sites if name not in nodes]
        if not missing:
            return {name: nodes[name] for name in sites}
        if time.monotonic() > deadline:
            raise RunError(
                f"{', '.join(missing)} took part in the study's runs and cannot be asked now; "
                "start the client there and rerun the study's command."
            )
        time.sleep(POLL_SECONDS)
