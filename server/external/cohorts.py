"""From the patients' scores of each cohort to all that is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from server.external.performance import performance
from server.external.subgroups import Column, divide
from server.results.external import (
    ALL,
    Chosen,
    CohortOutcome,
    ExternalEvaluation,
    SubgroupOutcome,
)
from server.results.shown import Audience
from shared.metrics.scored import Scored
from shared.run.finished import FinishedRun
from shared.run.patient_scores import PatientScore, ScoreFile


@dataclass(frozen=True, repr=False)
class ScoredCohort:
    """A cohort's patients with their scores, and what speaks against them."""

    scores: ScoreFile
    remarks: tuple[str, ...]

    def __repr__(self) -> str:
        """Without identifiers: a repr may end up in a log."""
        return f"ScoredCohort({self.scores!r})"


def evaluate_cohorts(
    finished: FinishedRun,
    name: str,
    cohorts: Sequence[ScoredCohort],
    columns: Sequence[Column] = (),
) -> ExternalEvaluation:
    """What the scores say, exactly: for the owner of the cohorts' folders; `name` is the run's."""
    chosen = chosen_by(finished)
    outcomes = tuple(
        _outcome(one.scores.site, one.scores.finding, one.scores.patients, chosen, columns)
        for one in cohorts
    )
    return ExternalEvaluation(
        run=finished.stored.run,
        name=name,
        audience=Audience.OWNER,
        chosen=chosen,
        cohorts=tuple(
            replace(outcome, remarks=one.remarks)
            for outcome, one in zip(outcomes, cohorts, strict=True)
        ),
        pooled=_pooled(cohorts, chosen, columns) if len(cohorts) > 1 else None,
    )


def chosen_by(finished: FinishedRun) -> Chosen:
    """What the run chose on its validation patients."""
    if finished.calibration is None:
        return Chosen(caution=finished.caution)
    return Chosen(finished.calibration.points, finished.calibration.recalibration)


def _pooled(
    cohorts: Sequence[ScoredCohort], chosen: Chosen, columns: Sequence[Column]
) -> CohortOutcome:
    patients = tuple(patient for one in cohorts for patient in one.scores.patients)
    findings = dict.fromkeys(one.scores.finding for one in cohorts)
    return _outcome(ALL, " / ".join(findings), patients, chosen, columns)


def _outcome(
    name: str,
    finding: str,
    patients: Sequence[PatientScore],
    chosen: Chosen,
    columns: Sequence[Column],
) -> CohortOutcome:
    return CohortOutcome(
        name=name,
        finding=finding,
        images=sum(patient.images for patient in patients),
        performance=performance(scored_of(patients), chosen),
        subgroups=tuple(
            SubgroupOutcome(column.name, value, performance(scored_of(own), chosen))
            for column in columns
            for value, own in divide(column, patients).items()
        ),
    )


def scored_of(patients: Sequence[PatientScore]) -> Scored:
    """These patients by their exact scores."""
    return Scored.of([one.score for one in patients], [one.truth for one in patients])
