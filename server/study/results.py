"""From a study's runs to what is printed: each arm's metrics, and its difference to the first."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median

from server.run.folder import open_run
from server.study.asking import StudySites, open_sites
from server.study.cells import Cell, sites_of, summary_of
from server.study.plan import Arm, StudyPlan
from shared.errors import RunError
from shared.metrics.binary import auroc, balanced_accuracy, confusion, f1
from shared.metrics.delong import PairedComparison
from shared.metrics.interval import auroc_interval
from shared.metrics.repeats import SignedRank, Spread, holm, signed_rank, spread

Sites = Mapping[str, Path]


@dataclass(frozen=True)
class ArmResult:
    """One arm over all repeats; each repeat holds out every patient once."""

    arm: Arm
    patients: tuple[int, int]
    """Positive and negative."""
    auroc: Spread
    """Of all held-out scores of a repeat together, over the repeats."""
    auroc_ci95: tuple[float, float] | None
    """DeLong's interval over patients, its limits averaged over the repeats."""
    balanced_accuracy: Spread
    f1: Spread
    youden: Spread
    """Balanced accuracy at the threshold that each run's validation patients chose."""
    megabytes: float
    """Moved by one run on average."""


@dataclass(frozen=True)
class Comparison:
    """An arm minus the first, in the patients of the sites that both have."""

    arm: Arm
    sites: tuple[str, ...]
    difference: Spread
    ci95: tuple[float, float] | None
    """DeLong's paired interval, its limits averaged over the repeats."""
    p: float | None
    """DeLong's, the median over the repeats: of patients."""
    p_holm: float | None
    """Adjusted for the number of arms."""
    signed_rank: SignedRank
    """Over the repeats, with the smallest p that so many of them can give."""


@dataclass(frozen=True)
class StudyResult:
    """All arms, and all but the first compared with it."""

    plan: StudyPlan
    arms: tuple[ArmResult, ...]
    comparisons: tuple[Comparison, ...]


def study_result(plan: StudyPlan, sites: Sites, out: Path) -> StudyResult:
    """What the finished runs say; asks the sites for counts and sums."""
    first = Cell(plan.arms[0], 0, 0).folder(out)
    asked = open_sites(open_run(first).config, sites)
    compared = [_compare(plan, arm, sites, out, asked) for arm in plan.arms[1:]]
    adjusted = holm([one.p for one in compared])
    return StudyResult(
        plan,
        tuple(_arm_result(plan, arm, sites, out, asked) for arm in plan.arms),
        tuple(replace(one, p_holm=p) for one, p in zip(compared, adjusted, strict=True)),
    )


def _arm_result(plan: StudyPlan, arm: Arm, sites: Sites, out: Path, asked: StudySites) -> ArmResult:
    names = list(sites_of(arm, sites))
    pooled = [asked.count(_runs(plan, arm, repeat, out), names) for repeat in range(plan.repeats)]
    intervals = [interval for one in pooled if (interval := auroc_interval(one))]
    moved = [summary_of(cell, out)["bytes"] for cell in _cells(plan, arm)]
    return ArmResult(
        arm=arm,
        patients=(pooled[0].total_positives, pooled[0].total_negatives),
        auroc=spread([value for one in pooled if (value := auroc(one)) is not None]),
        auroc_ci95=_mean_interval(intervals),
        balanced_accuracy=spread([balanced_accuracy(one) or 0.0 for one in pooled]),
        f1=spread([f1(one) or 0.0 for one in pooled]),
        youden=spread(
            [_at_chosen(plan, arm, repeat, out, names, asked) for repeat in range(plan.repeats)]
        ),
        megabytes=mean(one["down"] + one["up"] for one in moved) / 1e6,
    )


def _compare(plan: StudyPlan, arm: Arm, sites: Sites, out: Path, asked: StudySites) -> Comparison:
    reference = plan.arms[0]
    common = [name for name in sites_of(arm, sites) if name in sites_of(reference, sites)]
    paired: list[PairedComparison] = []
    for repeat in range(plan.repeats):
        runs = _runs(plan, arm, repeat, out), _runs(plan, reference, repeat, out)
        if (one := asked.compare(*runs, common)) is not None:
            paired.append(one)
    intervals = [one.ci95 for one in paired if one.ci95 is not None]
    values = [one.p for one in paired if one.p is not None]
    differences = [one.difference for one in paired]
    if not paired:
        raise RunError(
            f"Arm '{arm.name}' cannot be compared with '{reference.name}': their common sites "
            f"({', '.join(common) or 'none'}) hold no patients of both classes."
        )
    return Comparison(
        arm=arm,
        sites=tuple(common),
        difference=spread(differences),
        ci95=_mean_interval(intervals),
        p=median(values) if values else None,
        p_holm=None,
        signed_rank=signed_rank(differences),
    )


def _at_chosen(
    plan: StudyPlan, arm: Arm, repeat: int, out: Path, names: Sequence[str], asked: StudySites
) -> float:
    """Balanced accuracy of held-out patients, each at the threshold of that run's own choice."""
    tables = []
    for fold in range(plan.folds):
        folder = Cell(arm, repeat, fold).folder(out)
        calibration = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
        points = {p["name"]: p["threshold"] for p in calibration["operating_points"]}
        # Asked for: a run's own file lacks what is not to be shown of few patients.
        held_out = asked.count_fold(str(summary_of(Cell(arm, repeat, fold), out)["run"]), names)
        tables.append(confusion(held_out, points.get("youden", 0.5)))
    positives = sum(t.true_positives + t.false_negatives for t in tables)
    negatives = sum(t.true_negatives + t.false_positives for t in tables)
    if not positives or not negatives:
        return 0.0
    sensitivity = sum(t.true_positives for t in tables) / positives
    return (sensitivity + sum(t.true_negatives for t in tables) / negatives) / 2


def _mean_interval(intervals: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    if not intervals:
        return None
    return mean(low for low, _ in intervals), mean(high for _, high in intervals)


def _runs(plan: StudyPlan, arm: Arm, repeat: int, out: Path) -> list[str]:
    return [str(summary_of(Cell(arm, repeat, fold), out)["run"]) for fold in range(plan.folds)]


def _cells(plan: StudyPlan, arm: Arm) -> list[Cell]:
    return [Cell(arm, repeat, fold) for repeat in range(plan.repeats) for fold in range(plan.folds)]
