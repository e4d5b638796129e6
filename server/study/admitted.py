"""Which arms of a study may be shown and compared, and the runs and sites that they are of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from server.disclosure.groups import ShownGroups
from server.results.plan import Arm, StudyPlan
from server.results.study import RoundsTaken
from server.study.cells import Cell, names_of, summary_of
from shared.errors import RunError


def admit_arms(
    plan: StudyPlan, sites: Sequence[str], shown: ShownGroups
) -> tuple[list[Arm], list[Arm]]:
    """The arms that may be shown, and those of them that may be compared with the first.

    RunError where the first arm, with which the others are compared, may not be shown.
    """
    first, *others = plan.arms
    if not shown.admit(names_of(first, sites)):
        raise RunError(
            f"Arm '{first.name}' is of sites with fewer patients of a class than their min-cell, "
            "so it is not shown, and nothing can be compared with it; put another arm first and "
            "rerun the command, which keeps the runs."
        )
    # Each arm with its comparison, so that arms which are added later hide nothing shown before.
    arms, to_compare = [first], []
    for arm in others:
        if shown.admit(names_of(arm, sites)):
            arms.append(arm)
            if shown.admit(common_sites(plan, arm, sites)):
                to_compare.append(arm)
    return arms, to_compare


def common_sites(plan: StudyPlan, arm: Arm, sites: Sequence[str]) -> list[str]:
    """The sites that an arm and the first one have."""
    reference = names_of(plan.arms[0], sites)
    return [name for name in names_of(arm, sites) if name in reference]


def runs_of(plan: StudyPlan, arm: Arm, repeat: int, out: Path) -> list[str]:
    """An arm's runs of a repeat, one a fold."""
    return [str(summary_of(Cell(arm, repeat, fold), out)["run"]) for fold in range(plan.folds)]


def all_runs(plan: StudyPlan, arm: Arm, out: Path) -> list[list[str]]:
    """An arm's runs by repeat."""
    return [runs_of(plan, arm, repeat, out) for repeat in range(plan.repeats)]


def megabytes_of(plan: StudyPlan, arm: Arm, out: Path) -> float:
    """Moved by one of the arm's runs on average."""
    moved = [one["bytes"] for one in _summaries(plan, arm, out)]
    return mean(float(one["down"] + one["up"]) for one in moved) / 1e6


def rounds_of(plan: StudyPlan, arm: Arm, out: Path) -> RoundsTaken:
    """What each of the arm's runs took."""
    taken = [int(one["rounds"]) for one in _summaries(plan, arm, out)]
    return RoundsTaken(mean(taken), min(taken), max(taken))


def _summaries(plan: StudyPlan, arm: Arm, out: Path) -> list[dict[str, Any]]:
    """Of all runs of an arm."""
    return [
        summary_of(Cell(arm, repeat, fold), out)
        for repeat in range(plan.repeats)
        for fold in range(plan.folds)
    ]
