"""What a study shows: which groups of sites, and how many digits of their results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from server.disclosure.class_arms import rounded_arm, rounded_spread
from server.disclosure.groups import Counts, ShownGroups
from server.disclosure.register import OF_STUDY, Register, register_path
from server.disclosure.rounding import (
    decimals,
    rounded_interval,
    significant,
    standard_error,
)
from server.results.shown import Audience, Shown, audience_of
from server.results.study import (
    ArmResult,
    ClassStudyResult,
    Comparison,
    GradeResult,
    PointResult,
    StudyResult,
)
from shared.limits import MIN_CELL
from shared.metrics.reliability import ReliabilityGroup
from shared.metrics.repeats import Spread
from shared.outcome.binary import BINARY
from shared.settings.config import RunConfig


class StudyDisclosure:
    """The rules for one study, whose runs have this configuration but for their arm and fold."""

    def __init__(self, config: RunConfig, study: Path, first_run: str) -> None:
        self.for_others = audience_of(config) is Audience.OTHERS
        self._register = Register(register_path(study) if self.for_others else None)
        self._study, self._first_run = study.name, first_run
        self._cohort = f"{OF_STUDY} of {config.folds} folds"
        if config.predicts != BINARY:  # whose classes cannot be held against those of a finding
            self._cohort += f", {config.outcome}"

    def groups(self, counts: Mapping[str, Counts], own: set[str]) -> ShownGroups:
        """Groups of sites, given what was shown before; sites in `own` are not shown alone."""
        if not self.for_others:
            return ShownGroups(counts, (), MIN_CELL)
        with self._register.opened() as releases:
            data = dict.fromkeys(counts, "") | releases.data_of(self._first_run)
            data = {name: data[name] for name in counts}
            earlier = releases.earlier(self._cohort, data, counts, MIN_CELL)
        return ShownGroups(counts, own, MIN_CELL, earlier)

    def enter(self, groups: ShownGroups) -> None:
        """Enter all groups that were admitted in the register, before any of it is written."""
        if not self.for_others:
            return
        with self._register.opened() as releases:
            releases.add_admitted(self._study, self._cohort, groups)

    def result(self, exact: StudyResult) -> Shown[StudyResult]:
        """The whole result, of which only groups that were admitted are part."""
        if not self.for_others:
            return Shown(exact)
        patients = {one.arm.name: sum(one.patients) for one in exact.arms}
        return Shown(
            replace(
                exact,
                arms=tuple(map(_arm, exact.arms)),
                comparisons=tuple(
                    _comparison(one, min(patients.values())) for one in exact.comparisons
                ),
                grade=exact.grade and _grade(exact.grade),
            )
        )

    def classes(self, exact: ClassStudyResult) -> Shown[ClassStudyResult]:
        """The same of several classes or labels, of which only those that are kept are part."""
        if not self.for_others:
            return Shown(exact)
        patients = min(one.patients for one in exact.arms)
        return Shown(
            replace(
                exact,
                arms=tuple(map(rounded_arm, exact.arms)),
                comparisons=tuple(_comparison(one, patients) for one in exact.comparisons),
            )
        )


def _arm(exact: ArmResult) -> ArmResult:
    patients = sum(exact.patients)
    places = decimals(patients)
    return replace(
        exact,
        auroc=rounded_spread(exact.auroc, patients, standard_error(exact.auroc_ci95)),
        auroc_ci95=rounded_interval(exact.auroc_ci95, patients),
        balanced_accuracy=rounded_spread(exact.balanced_accuracy, patients),
        f1=rounded_spread(exact.f1, patients),
        brier=rounded_spread(exact.brier, patients),
        brier_calibrated=rounded_spread(exact.brier_calibrated, patients),
        points=tuple(_point(point, patients) for point in exact.points),
        curve=tuple((round(x, places), round(y, places)) for x, y in exact.curve),
        reliability=tuple(_group(one, places) for one in exact.reliability),
        reliability_calibrated=tuple(_group(one, places) for one in exact.reliability_calibrated),
        megabytes=round(exact.megabytes, 3),
    )


def _comparison(exact: Comparison, patients: int) -> Comparison:
    return replace(
        exact,
        difference=rounded_spread(exact.difference, patients, standard_error(exact.ci95)),
        ci95=rounded_interval(exact.ci95, patients),
        p=significant(exact.p),
        p_holm=significant(exact.p_holm),
    )


def _grade(exact: GradeResult) -> GradeResult:
    patients = sum(exact.patients)
    return replace(
        exact,
        auroc=round(exact.auroc, decimals(patients, standard_error(exact.auroc_ci95))),
        auroc_ci95=rounded_interval(exact.auroc_ci95, patients),
        model_auroc=rounded_spread(exact.model_auroc, patients, standard_error(exact.auroc_ci95)),
        difference=rounded_spread(exact.difference, patients, standard_error(exact.ci95)),
        ci95=rounded_interval(exact.ci95, patients),
        p=significant(exact.p),
    )


def _point(exact: PointResult, patients: int) -> PointResult:
    def share(value: Spread | None) -> Spread | None:
        return value and rounded_spread(value, patients)

    return replace(
        exact,
        sensitivity=share(exact.sensitivity),
        specificity=share(exact.specificity),
        positive_predictive_value=share(exact.positive_predictive_value),
        negative_predictive_value=share(exact.negative_predictive_value),
        balanced_accuracy=share(exact.balanced_accuracy),
    )


def _group(exact: ReliabilityGroup, places: int) -> ReliabilityGroup:
    low, high = exact.share_ci95
    return replace(
        exact,
        patients=float(round(exact.patients)),
        mean_probability=round(exact.mean_probability, places),
        share_positive=round(exact.share_positive, places),
        share_ci95=(round(low, places), round(high, places)),
    )
