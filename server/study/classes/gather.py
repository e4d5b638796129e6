"""From a study's runs of several classes or labels to its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import cast

from flwr.app import RecordDict

from server.disclosure.class_cohorts import added_up
from server.disclosure.classes import ManyCounts, kept_counts, kept_of, without_others
from server.disclosure.study import StudyDisclosure
from server.results.plan import Arm, StudyPlan
from server.results.shown import Shown
from server.results.study import ClassArm, ClassStudyResult, Comparison
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
from server.study.cells import Cell, names_of
from server.study.classes.statistics import class_arm
from server.study.paired import PairedRepeats
from server.study.statistics import comparison
from shared.errors import ProtocolError, RunError
from shared.limits import MIN_CELL
from shared.metrics.classes.kinds import contrasts_of
from shared.metrics.classes.paired import (
    ContrastSums,
    compare_means,
    mean_area,
)
from shared.metrics.delong import paired_comparison
from shared.metrics.histogram import Histogram
from shared.metrics.paired import ClassSums
from shared.metrics.repeats import holm
from shared.protocol.compare import MESSAGE_TYPE
from shared.protocol.contrasts import ContrastReply, ContrastRequest

Runs = Sequence[str]


def class_study_result(plan: StudyPlan, out: Path, asked: StudySites) -> Shown[ClassStudyResult]:
    """What may be shown of what the finished runs say; asks the sites for counts and sums.

    RunError where the first arm, with which the others are compared, may not be shown.
    """
    started = open_run(Cell(plan.arms[0], 0, 0).folder(out))
    disclosure = StudyDisclosure(started.config, out, started.run)
    counts, own = _by_site(plan, out, asked)
    names = asked.outcome.names
    kept = tuple(range(len(names)))
    if disclosure.for_others:
        kept = _kept(counts, asked)
    patients = {name: kept_counts(one, kept) for name, one in counts.items()}
    own |= {name for name, held in patients.items() if min(held) < MIN_CELL}
    shown = disclosure.groups(patients, own)
    study = _Study(plan, tuple(asked.nodes), out, asked, kept)
    arms, to_compare = admit_arms(plan, study.sites, shown)
    compared = [study.compared(arm) for arm in to_compare]
    adjusted = holm([one.p for one in compared])
    exact = ClassStudyResult(
        plan,
        study.sites,
        tuple(map(study.arm, arms)),
        tuple(replace(one, p_holm=p) for one, p in zip(compared, adjusted, strict=True)),
        tuple(arm.name for arm in plan.arms if arm not in arms),
        str(asked.outcome),
        tuple(name for place, name in enumerate(names) if place not in kept),
    )
    disclosure.enter(shown)
    return disclosure.classes(exact)


def _by_site(
    plan: StudyPlan, out: Path, asked: StudySites
) -> tuple[dict[str, ManyCounts], set[str]]:
    """Each site's held-out patients, the same in every arm of its; who suppresses its own."""
    counts: dict[str, ManyCounts] = {}
    hidden = set()
    for arm in plan.arms:
        for name in names_of(arm, tuple(asked.nodes)):
            if name not in counts:
                reply = asked.count(runs_of(plan, arm, 0, out), [name])[name]
                counts[name] = cast(ManyCounts, reply.histogram)
                if reply.suppress:
                    hidden.add(name)
    return counts, hidden


def _kept(counts: Mapping[str, ManyCounts], asked: StudySites) -> tuple[int, ...]:
    kept = kept_of(added_up(asked.outcome, counts))
    if not kept:
        raise RunError(
            f"All sites together have fewer than {MIN_CELL} held-out patients of all classes but "
            "one, or of each label, so nothing of this study may be shown."
        )
    return kept


@dataclass(frozen=True)
class _Study:
    """The runs, whom to ask for their counts, and which classes or labels are kept."""

    plan: StudyPlan
    sites: tuple[str, ...]
    out: Path
    asked: StudySites
    kept: tuple[int, ...]

    def counts(self, runs: Runs, sites: Sequence[str]) -> ManyCounts:
        """The patients of all these sites together, with those that are not kept."""
        replies = self.asked.count(runs, sites)
        own = {name: cast(ManyCounts, reply.histogram) for name, reply in replies.items()}
        return added_up(self.asked.outcome, own)

    def arm(self, arm: Arm) -> ClassArm:
        """An arm's row."""
        names = names_of(arm, self.sites)
        repeats = [self.counts(runs, names) for runs in all_runs(self.plan, arm, self.out)]
        cost = megabytes_of(self.plan, arm, self.out), rounds_of(self.plan, arm, self.out)
        try:
            return class_arm(arm, self.asked.outcome, repeats, self.kept, *cost)
        except ValueError as error:
            raise RunError(
                f"Arm '{arm.name}' has held-out patients of one class only; an AUROC needs two."
            ) from error

    def compared(self, arm: Arm) -> Comparison:
        """An arm against the first, by the mean AUROC."""
        reference, common = self.plan.arms[0], common_sites(self.plan, arm, self.sites)
        first, second = (all_runs(self.plan, one, self.out) for one in (arm, reference))
        paired = self._paired(first, second, common) if common else None
        if paired is None:
            raise RunError(
                f"Arm '{arm.name}' cannot be compared with '{reference.name}': their common sites "
                f"({', '.join(common) or 'none'}) hold patients of one class alone."
            )
        return comparison(arm, tuple(common), paired)

    def _contrasts(self, runs: Runs, sites: Sequence[str]) -> tuple[Histogram, ...]:
        return contrasts_of(without_others(self.counts(runs, sites), self.kept))

    def _paired(
        self, first: Sequence[Runs], second: Sequence[Runs], sites: Sequence[str]
    ) -> PairedRepeats | None:
        of_first, of_second = (
            tuple(self._contrasts(runs, sites) for runs in repeats) for repeats in (first, second)
        )
        areas = [
            (a, b)
            for one, other in zip(of_first, of_second, strict=True)
            if (a := mean_area(one)) is not None and (b := mean_area(other)) is not None
        ]
        if len(areas) < len(first):
            return None
        runs_a, runs_b = (tuple(tuple(runs) for runs in one) for one in (first, second))
        request = ContrastRequest(
            first[0][0], "test", runs_a, runs_b, self.kept, of_first, of_second
        )
        sums = self._sums(request, sites)
        try:
            error = compare_means(of_first[0], of_second[0], sums)
        except ValueError as wrong:
            raise RunError(f"{', '.join(sites)} answered for other patients: {wrong}") from wrong
        a, b = (mean(area) for area in zip(*areas, strict=True))
        return PairedRepeats(tuple(areas), paired_comparison(a, b, a - b, error))

    def _sums(self, request: ContrastRequest, sites: Sequence[str]) -> ContrastSums:
        empty = ContrastSums(ClassSums(), request.repeats)

        def read(content: RecordDict) -> ContrastSums:
            try:
                return empty + ContrastReply.from_content(content).sums
            except ValueError as error:
                raise ProtocolError(str(error)) from error

        content = request.to_content(self.asked.outcome)
        return sum(self.asked.ask(content, MESSAGE_TYPE, sites, read).values(), start=empty)
