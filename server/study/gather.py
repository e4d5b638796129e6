"""From a study's runs to its result: what the sites count, and what may be shown of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from server.disclosure.groups import Counts, ShownGroups, counts_of
from server.disclosure.study import StudyDisclosure
from server.evaluation.grades import added_up, pool_graded
from server.results.plan import Arm, StudyPlan
from server.results.shown import Shown
from server.results.study import (
    ArmResult,
    ClassStudyResult,
    Comparison,
    GradeResult,
    StudyResult,
)
from server.run.calibration import FILE as CALIBRATION
from server.run.folder import open_run
from server.study.admitted import (
    admit_arms,
    all_runs,
    common_sites,
    megabytes_of,
    rounds_of,
    runs_of,
)
from server.study.asking import StudySites
from server.study.cells import Cell, names_of, summary_of
from server.study.classes.gather import class_study_result
from server.study.held_out import Fold
from server.study.statistics import arm_result, comparison, grade_result
from shared.errors import RunError
from shared.metrics.grades import GradeCounts
from shared.metrics.histogram import Histogram
from shared.metrics.repeats import holm
from shared.outcome.binary import BINARY
from shared.run.events import Warned, emit
from shared.run.finished import read_calibration

Sites = Sequence[str]


def study_result(
    plan: StudyPlan, out: Path, asked: StudySites
) -> Shown[StudyResult] | Shown[ClassStudyResult]:
    """What may be shown of what the finished runs say; asks the sites for counts and sums.

    RunError where the first arm, with which the others are compared, may not be shown.
    """
    if asked.outcome != BINARY:
        return class_study_result(plan, out, asked)
    return _of_finding(plan, out, asked)


def _of_finding(plan: StudyPlan, out: Path, asked: StudySites) -> Shown[StudyResult]:
    sites = tuple(asked.nodes)
    started = open_run(Cell(plan.arms[0], 0, 0).folder(out))
    disclosure = StudyDisclosure(started.config, out, started.run)
    shown = _shown_groups(plan, sites, out, asked, disclosure)
    first = plan.arms[0]
    arms, to_compare = admit_arms(plan, sites, shown)
    compared = [_compare(plan, arm, sites, out, asked) for arm in to_compare]
    adjusted = holm([one.p for one in compared])
    exact = StudyResult(
        plan,
        sites,
        tuple(_arm_result(plan, arm, sites, out, asked) for arm in arms),
        tuple(replace(one, p_holm=p) for one, p in zip(compared, adjusted, strict=True)),
        tuple(arm.name for arm in plan.arms if arm not in arms),
        compare_grade(
            all_runs(plan, first, out),
            names_of(first, sites),
            shown,
            asked,
            for_others=disclosure.for_others,
        ),
    )
    disclosure.enter(shown)
    return disclosure.result(exact)


def _shown_groups(
    plan: StudyPlan, sites: Sites, out: Path, asked: StudySites, disclosure: StudyDisclosure
) -> ShownGroups:
    """Nothing of this study yet. A site's patients are the same in every arm of its."""
    counts: dict[str, Counts] = {}
    hidden = set()
    for arm in plan.arms:
        new = [name for name in names_of(arm, sites) if name not in counts]
        for name in new:
            reply = asked.count(runs_of(plan, arm, 0, out), [name])[name]
            counts[name] = counts_of(reply.histogram)
            if reply.suppress:
                hidden.add(name)
    return disclosure.groups(counts, hidden)


def _arm_result(plan: StudyPlan, arm: Arm, sites: Sites, out: Path, asked: StudySites) -> ArmResult:
    names = names_of(arm, sites)
    repeats = [
        [_fold(Cell(arm, repeat, fold), out, names, asked) for fold in range(plan.folds)]
        for repeat in range(plan.repeats)
    ]
    try:
        return arm_result(arm, repeats, megabytes_of(plan, arm, out), rounds_of(plan, arm, out))
    except ValueError as error:
        raise RunError(
            f"Arm '{arm.name}' has held-out patients of one class only; an AUROC needs both."
        ) from error


def _fold(cell: Cell, out: Path, names: Sequence[str], asked: StudySites) -> Fold:
    """Counts are asked for: a run's own file lacks what is not to be shown of few patients."""
    chosen = read_calibration(cell.folder(out) / CALIBRATION)
    if chosen is None:
        raise RunError(
            f"{cell.folder(out)} has no {CALIBRATION}; remove that folder and rerun the study's "
            "command, which repeats the run."
        )
    return Fold(
        asked.count_all((str(summary_of(cell, out)["run"]),), names),
        {point.name: point.threshold for point in chosen.points},
        chosen.temperature,
    )


def _compare(plan: StudyPlan, arm: Arm, sites: Sites, out: Path, asked: StudySites) -> Comparison:
    reference, common = plan.arms[0], common_sites(plan, arm, sites)
    runs = all_runs(plan, arm, out), all_runs(plan, reference, out)
    paired = asked.compare(*runs, common) if common else None
    if paired is None:
        raise RunError(
            f"Arm '{arm.name}' cannot be compared with '{reference.name}': their common sites "
            f"({', '.join(common) or 'none'}) hold no patients of both classes."
        )
    return comparison(arm, tuple(common), paired)


def compare_grade(
    repeats: Sequence[Sequence[str]],
    sites: Sequence[str],
    shown: ShownGroups,
    asked: StudySites,
    *,
    for_others: bool,
) -> GradeResult | None:
    """The grade against an arm, whose runs `repeats` has by repeat; None where there is none.

    None, too, where a class is missing among those who have one, and where it would reveal too
    few of them, or beside the arms that are `shown` of too few patients of other sites.
    """
    models: list[Histogram] = []
    grades = GradeCounts((), (), ())
    graded: tuple[str, ...] = ()
    for runs in repeats:
        replies = asked.count(runs, sites)
        own = {name: reply.graded for name, reply in replies.items() if reply.graded}
        pooled = None
        if own:
            pooled = pool_graded(own, shown.hidden) if for_others else added_up(own)
        if pooled is None:
            return None
        models.append(pooled.model)
        grades, graded = pooled.grades, tuple(own)
    # The arm's patients less those with a grade are those of the sites that have none.
    if shown.hides_few(set(sites) - set(graded)) or not shown.admit(graded):
        emit(Warned("The clinical grade is not compared: some site without it has few patients."))
        return None
    paired = asked.compare_grade(repeats, graded, models, grades)
    return grade_result(grades.histogram(), paired) if paired else None
