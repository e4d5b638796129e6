"""What a run shows: of each round, of its final evaluation, and in its summary."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from server.disclosure.class_cohorts import shown_classes, whole_classes
from server.disclosure.classes import ManyCounts
from server.disclosure.cohorts import CohortDecisions, ShownCohort, shown_cohort, whole_cohort
from server.disclosure.grades import rounded_grade
from server.disclosure.groups import counts_of
from server.disclosure.register import Register, register_path
from server.disclosure.run_files import (
    shown_calibration,
    shown_log_loss,
    shown_round,
    shown_summary,
)
from server.results.shown import Audience, Shown, audience_of
from server.run.calibration import calibrate
from server.run.evaluation_file import CovariateCounts, EvaluationFile
from server.run.ledger import RoundRecord
from shared.metrics.classes.kinds import Counts
from shared.metrics.histogram import Histogram
from shared.metrics.log_loss import LogLoss
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.protocol.evaluate import Scope
from shared.settings.config import RunConfig


@dataclass
class Disclosure:
    """The rules for one run: for whom it is, and what was shown before."""

    audience: Audience = Audience.OTHERS
    run: str = ""
    split: str = ""
    """Which patients are held out, as far as their number depends on it."""
    register: Register = field(default_factory=Register)
    outcome: Outcome = BINARY
    _decisions: CohortDecisions = field(init=False)

    def __post_init__(self) -> None:
        self._decisions = CohortDecisions(self.run, self.split, self.register)

    @classmethod
    def of(cls, config: RunConfig, run: str, folder: Path) -> Disclosure:
        """The rules of a run in this folder, next to which other runs of its sites lie."""
        audience = audience_of(config)
        register = Register(None if audience is Audience.OWNER else register_path(folder))
        folds = f", fold {config.fold} of {config.folds}" if config.folds else ""
        split = f"{config.validation_fraction:g} validates{folds}"
        if config.predicts != BINARY:  # whose classes cannot be held against those of a finding
            split += f", {config.outcome}"
        return cls(audience, run, split, register, config.predicts)

    @property
    def for_others(self) -> bool:
        """Whether anything is hidden and rounded at all."""
        return self.audience is Audience.OTHERS

    def cohort(
        self,
        scope: str,
        counts: Mapping[str, Counts],
        own: Collection[str],
        data: Mapping[str, str],
    ) -> ShownCohort:
        """What may be shown of these patients; the sites in `own` suppress their own values.

        `data` has a digest of each site's data. Hidden sites are null throughout, and so is all
        that is of all sites together where that would reveal a hidden site, given what this
        run and others have shown.
        """
        if self.outcome != BINARY:
            return self._classes(scope, cast(Mapping[str, ManyCounts], counts), own, data)
        histograms = cast(Mapping[str, Histogram], counts)
        if not self.for_others:
            return whole_cohort(histograms)
        by_class = {name: counts_of(one) for name, one in histograms.items()}
        return shown_cohort(histograms, self._decisions.decide(scope, by_class, own, data))

    def _classes(
        self,
        scope: str,
        counts: Mapping[str, ManyCounts],
        own: Collection[str],
        data: Mapping[str, str],
    ) -> ShownCohort:
        if not self.for_others:
            return whole_classes(counts, self.outcome)
        return shown_classes(scope, counts, own, data, self.outcome, self._decisions)

    def admits(self, scope: str, group: Collection[str]) -> bool:
        """Whether results of these sites alone may be shown with the cohort's; then they count.

        Of a cohort that was asked for before.
        """
        return not self.for_others or self._decisions.admits(scope, group)

    def round(self, exact: RoundRecord, cohort: ShownCohort) -> Shown[RoundRecord]:
        """A round as the ledger and all who read it have it."""
        return Shown(shown_round(exact, cohort) if self.for_others else exact)

    def log_loss(
        self, exact: LogLoss | None, cohort: ShownCohort
    ) -> tuple[float | None, float | None]:
        """Log-loss of this cohort's patients, all sites together, and its standard error.

        None is not shown; to others the error never is, of which few digits would say nothing.
        """
        if exact is None:
            return None, None
        return (
            (shown_log_loss(exact, cohort), None) if self.for_others else (exact.mean, exact.error)
        )

    def evaluation(
        self, cohorts: Mapping[Scope, ShownCohort], covariates: Mapping[str, CovariateCounts]
    ) -> Shown[EvaluationFile]:
        """evaluation.json; `covariates` are of groups that may be shown (`grades`)."""
        counts = {str(scope): one.counts for scope, one in cohorts.items()}
        return Shown(EvaluationFile(counts, covariates))

    def calibration(self, validation: Histogram, *, totals: bool) -> Shown[Mapping[str, Any]]:
        """calibration.json; `totals` says whether the validation cohort shows its totals."""
        if not self.for_others:
            return Shown(calibrate(validation))
        return Shown(shown_calibration(validation, totals=totals))

    def grade(self, exact: Mapping[str, Any]) -> Mapping[str, Any]:
        """The clinical grade's entry in summary.json, of a group that may be shown."""
        return rounded_grade(exact) if self.for_others else exact

    def summary(self, exact: Mapping[str, Any]) -> Shown[Mapping[str, Any]]:
        """summary.json, whose metrics have passed `cohort` already."""
        shown = shown_summary(exact) if self.for_others else exact
        return Shown({**shown, "audience": self.audience.value})
