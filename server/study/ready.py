"""Whether every run of a simulated study can be trained, and those that are done be counted."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from server.federation.asking import Problem, ask
from server.federation.context import SIMULATION_TIMEOUT
from server.federation.messaging import Question
from server.federation.replies import as_sentence
from server.results.plan import Arm, SimulatedStudy, StudyPlan
from server.run.folder import open_run
from server.schedule.check import require_budget
from server.simulation.inprocess import images_at_two_sites, require_ready_sites
from server.study.asking import StudySites, open_sites
from server.study.cells import Cell, cells_of, is_done, names_of, summary_of
from server.study.plan import of_arm
from server.training.leakage import teacher_leakage
from server.training.weights import require_weights
from shared.errors import ConfigError, RunError, SiteError, UserError
from shared.protocol.describe import MESSAGE_TYPE, DescribeRequest
from shared.run.events import Noted, Warned, emit
from shared.settings.config import RunConfig
from shared.settings.parse import parse_run_config


def require_kept_scores(plan: StudyPlan, sites: Mapping[str, Path], out: Path) -> None:
    """Ask the sites for the counts of every run that is done.

    UserError names the folders of those whose scores a site has lost.
    """
    done = [cell for cell in cells_of(plan) if is_done(cell, out)]
    if not done:
        return
    asked = open_sites(open_run(done[0].folder(out)).config, sites)
    lost = [(cell, said) for cell in done if (said := _lost(cell, asked, out))]
    if lost:
        folders = shlex.join(str(cell.folder(out)) for cell, _ in lost)
        raise UserError(
            f"{len(lost)} of the {len(done)} finished runs cannot be counted any more: "
            f"{lost[0][1]} Remove these folders and rerun the command, which "
            f"trains them again: {folders}"
        )


def _lost(cell: Cell, asked: StudySites, out: Path) -> str:
    try:
        asked.count((str(summary_of(cell, out)["run"]),), names_of(cell.arm, tuple(asked.nodes)))
    except RunError as error:
        return str(error)
    return ""


_RUN = "before-a-study"
"""Under which name the sites are asked; nothing is kept for it."""


@dataclass(frozen=True)
class _Check:
    """Runs of one arm that ask the same of its sites' data."""

    arm: Arm
    config: RunConfig
    sites: Mapping[str, Path]


def require_ready(study: SimulatedStudy, out: Path) -> None:
    """Look at the weights, the settings and the sites' patients of all runs that are not done.

    What costs little comes first, for all arms: settings, the sites' folders, weights. Then each
    site reads its images, which its cache keeps for the runs, and splits its patients into each
    repeat's folds. The error names the arm; nothing has been trained then.
    """
    checks = [_check(cell, study) for cell in cells_of(study.plan) if not is_done(cell, out)]
    for check in checks:
        with of_arm(check.arm):
            _require_enough(check)
            require_budget(check.config)
            require_ready_sites(list(check.sites.values()), check.config)
    for check in checks:
        with of_arm(check.arm):
            require_weights(check.config, fetch=True)
    _warn_of_teachers(checks)
    _warn_of_copies(checks)
    different = list(_different(checks))
    for number, check in enumerate(different, 1):
        if number == 1:
            emit(Noted("Checking all arms before the first is trained: sites, patients, folds."))
        with of_arm(check.arm):
            _ask(check)


def _warn_of_copies(checks: Sequence[_Check]) -> None:
    """Say once of each two sites that they have the same images, some of which are held out."""
    folders = {path.absolute() for check in checks for path in check.sites.values()}
    for sentence in images_at_two_sites(sorted(folders)):
        emit(Warned(sentence))


def _warn_of_teachers(checks: Sequence[_Check]) -> None:
    """Say once of each arm that its teacher knows patients whom some run holds out."""
    found: dict[str, str] = {}
    for check in checks:
        folders = os.pathsep.join(str(path.absolute()) for path in check.sites.values())
        if (sentence := teacher_leakage(replace(check.config, sites=folders))) is not None:
            found.setdefault(check.arm.name, sentence)
    for name, sentence in found.items():
        emit(Warned(f"Arm '{name}': {sentence}"))


def _check(cell: Cell, study: SimulatedStudy) -> _Check:
    with of_arm(cell.arm):
        config = parse_run_config(cell.settings(study.plan.folds, study.settings))
    names = names_of(cell.arm, study.sites)
    return _Check(cell.arm, config, {name: study.sites[name] for name in names})


def _require_enough(check: _Check) -> None:
    if not check.sites:
        raise ConfigError("it has no site; name one of the folders in `sites`.")


def _different(checks: list[_Check]) -> Iterator[_Check]:
    """One check for each way in which images are prepared and patients are split."""
    seen = set()
    for check in checks:
        config = check.config
        key = (
            config.image_size, config.image_fit, config.image_colour,
            config.folds, config.fold, config.seed,
            config.validation_fraction, config.weights, config.weights_sha256, config.backbone,
            tuple(check.sites),
        )  # fmt: skip
        if key not in seen:
            seen.add(key)
            yield check


def _ask(check: _Check) -> None:
    """Let each site describe itself as it will when the run begins."""
    asked = open_sites(check.config, check.sites)
    names = {node: name for name, node in asked.nodes.items()}
    contents = dict.fromkeys(names, DescribeRequest(_RUN).to_content())
    question = Question(MESSAGE_TYPE, "study", SIMULATION_TIMEOUT)
    for answer in ask(asked.grid, contents, question, lambda *_: None):
        if isinstance(answer.said, Problem):
            # A site of this machine names itself where it says what is wrong with it.
            own = answer.said.kind == "failed"
            said = as_sentence(answer.said.reason) if own else answer.said.of(names[answer.node])
            raise SiteError(said)
