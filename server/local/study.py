"""A study of site folders on this machine, from what is asked to its files."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from server.local.small import small_settings
from server.local.small_study import small_study
from server.results.plan import Arm, SimulatedStudy, StudyPlan
from server.results.quick import quick_study
from server.study.plan import of_arm, quoted, read_arms
from server.training.declared_outcome import declared_by_sites
from shared.errors import ConfigError
from shared.outcome.binary import BINARY
from shared.outcome.registry import parse_outcome
from shared.run.events import Noted, Warned, emit
from shared.settings.config import RunConfig
from shared.settings.parse import parse_run_config
from shared.settings.setting import Scalar

if TYPE_CHECKING:
    from server.study.cells import Cell


# By name, as Flower finds the sites' package: the coordinator does not import it.
_SITES_MODULE = "client.site_file"


@dataclass(frozen=True)
class Usual:
    """What a study is where nothing else is asked for; the arms by their file's name."""

    arms: str
    folds: int
    repeats: int


USUAL, QUICK = Usual("paper", 5, 6), Usual("schedules", 2, 1)


def plan_simulated(
    sites: Sequence[Path],
    arms: Sequence[Arm] | None,
    folds: int | None,
    repeats: int | None,
    settings: Mapping[str, Scalar],
    *,
    each_site: bool = False,
    quick: bool = False,
) -> SimulatedStudy:
    """The study of these folders; `each_site` adds each of them alone, and all data in one place.

    With `quick` all arms have small settings. SiteError where a folder is no site's, ConfigError
    where two have one name, or an arm does not fit.
    """
    named = _named(sites)
    settings = _with_outcome(settings, declared_by_sites(list(named.values())))
    usual = QUICK if quick else USUAL
    arms = read_arms(usual.arms) if arms is None else arms
    folds, repeats = folds or usual.folds, repeats or usual.repeats
    chosen = (*arms, *(_each_site(list(named)) if each_site else ()))
    arms = checked(chosen, named, settings)
    if quick:
        settings = small_study(arms, settings)
    return SimulatedStudy(StudyPlan(arms, folds, repeats, quick), named, settings)


def run_simulated(study: SimulatedStudy, out: Path, jobs: int) -> None:
    """Run what is not done yet, `jobs` runs at a time, and write the study's files.

    Raises ConfigError, SiteError or WeightsError before anything is trained, and as `run_cells`
    afterwards.
    """
    from server.report.at_end import write_study
    from server.run.folder import open_run
    from server.study.asking import open_sites
    from server.study.cells import Cell, cells_of, is_done, run_cells
    from server.study.estimate import study_estimate
    from server.study.gather import study_result
    from server.study.pace import Pace
    from server.study.plan_file import KeptPlan, is_new, keep_to_plan
    from server.study.ready import require_kept_scores, require_ready
    from server.study.same_runs import require_same_runs
    from shared.protocol.replies import own_sites
    from shared.storage.files import keep_private, private_files

    plan, sites = study.plan, study.sites
    wanted = KeptPlan(plan, dict(study.settings), tuple(sites))
    if plan.quick:
        emit(Noted(quick_study(plan)))
    is_new(out, wanted)  # says before anything is asked for or removed why it cannot be
    require_same_runs(_runs(study), out)
    if out.is_dir() and (sentence := keep_private(out)) is not None:
        emit(Warned(sentence))
    with own_sites(), private_files():
        require_kept_scores(plan, sites, out)
        require_ready(study, out)
        keep_to_plan(out, wanted)
        cells = list(cells_of(plan))
        waiting = [cell for cell in cells if not is_done(cell, out)]
        pace = Pace(len(cells) - len(waiting))
        if waiting:
            emit(Noted(
                f"Every arm can be trained. Runs to be trained: {len(waiting)} of {len(cells)}."
            ))  # fmt: skip
        if (sentence := study_estimate(study, out, jobs)) is not None:
            emit(Noted(sentence))
        run_cells(
            study, out, jobs,
            lambda cell, done, total: emit(
                Noted(f"{done}/{total}: {cell.named()}{pace.left(done, total)}")
            ),
        )  # fmt: skip
        first = open_run(Cell(plan.arms[0], 0, 0).folder(out))
        write_study(study_result(plan, out, open_sites(first.config, sites)), out)


def _runs(study: SimulatedStudy) -> Iterator[tuple[Cell, RunConfig]]:
    """All runs with their configurations, as `fedthaw simulate` makes them of the same words."""
    from server.study.cells import cells_of, names_of

    plan, sites = study.plan, study.sites
    for cell in cells_of(plan):
        given = cell.settings(plan.folds, study.settings)
        with of_arm(cell.arm):
            config = parse_run_config(small_settings(given) if plan.quick else given)
        folders = os.pathsep.join(str(sites[name]) for name in names_of(cell.arm, sites))
        yield cell, replace(config, sites=folders, pooled=cell.arm.pooled, quick=plan.quick)


def _with_outcome(settings: Mapping[str, Scalar], declared: str) -> dict[str, Scalar]:
    """The settings with the outcome that the sites declare, where they do not name it."""
    own = {} if parse_outcome(declared) == BINARY else {"outcome": declared}
    return {**own, **settings}


def checked(
    arms: Sequence[Arm], sites: Mapping[str, Path] | None, settings: Mapping[str, Scalar]
) -> tuple[Arm, ...]:
    """The arms; ConfigError where two share a folder, or one names an unknown site or setting.

    `sites` is None where a coordinator has them.
    """
    folders = [arm.folder for arm in arms]
    for arm in arms:
        if folders.count(arm.folder) > 1:
            raise ConfigError(
                f"Two arms are called '{arm.name}' or nearly so, and would share the folder "
                f"'{arm.folder}'; rename one of them (an arm of one site alone is named after the "
                "site's folder)."
            )
        if sites is not None and (unknown := set(arm.sites) - set(sites)):
            raise ConfigError(
                f"Arm '{arm.name}' names the site '{min(unknown)}', but the folders given are "
                f"{quoted(sites)}."
            )
    _require_one_outcome(arms, settings)
    return tuple(arms)


def _require_one_outcome(arms: Sequence[Arm], settings: Mapping[str, Scalar]) -> None:
    outcomes = []
    for arm in arms:
        with of_arm(arm):
            outcomes.append(parse_run_config({**settings, **arm.settings}).outcome)
        if outcomes[-1] != outcomes[0]:
            raise ConfigError(
                f"Arm '{arm.name}' predicts '{outcomes[-1]}' and '{arms[0].name}' "
                f"'{outcomes[0]}'; arms are compared by what both predict, so give all the same "
                "outcome."
            )


def _named(sites: Sequence[Path]) -> dict[str, Path]:
    """The folders by their sites' names, which are the folders' names here.

    ConfigError where two have one name, SiteError where one is no site's.
    """
    for site in sites:
        importlib.import_module(_SITES_MODULE).require_site_folder(site)
    named = {site.absolute().name: site.absolute() for site in sites}
    if len(named) < len(sites):
        raise ConfigError("Two site folders have the same name; rename one of them.")
    return named


def _each_site(sites: list[str]) -> list[Arm]:
    alone = [Arm(f"{site} alone", {}, (site,)) for site in sites]
    return [*alone, Arm("all data in one place", pooled=True)]
