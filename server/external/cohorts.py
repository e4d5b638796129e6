"""From the patients' scores of each cohort to all that is said of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from server.external.class_performance import class_performance
from server.external.performance import performance
from server.external.subgroups import Column, divide
from server.results.external import (
    ALL,
    AnyEvaluation,
    Chosen,
    ClassEvaluation,
    ClassPerformance,
    Cohort,
    ExternalEvaluation,
    P,
    Performance,
    SubgroupOutcome,
)
from server.results.shown import Audience
from shared.metrics.scored import Scored
from shared.outcome.binary import BINARY
from shared.run.finished import FinishedRun
from shared.run.patient_scores import PatientScore, ScoreFile

Patients = Sequence[PatientScore]


@dataclass(frozen=True, repr=False)
class ScoredCohort:
    """A cohort's patients with their scores, and what makes them unreliable."""

    scores: ScoreFile
    remarks: tuple[str, ...]
    took_part: bool = False
    """Whether it is a site of the run, or may be."""

    def __repr__(self) -> str:
        """Without identifiers: a repr may end up in a log."""
        return f"ScoredCohort({self.scores!r})"


def evaluate_cohorts(
    finished: FinishedRun,
    name: str,
    cohorts: Sequence[ScoredCohort],
    columns: Sequence[Column] = (),
) -> AnyEvaluation:
    """What the scores say, exactly: for the owner of the cohorts' folders; `name` is the run's."""
    run, outcome = finished.stored.run, finished.stored.config.predicts
    if outcome == BINARY:
        chosen = chosen_by(finished)

        def of_finding(patients: Patients) -> Performance:
            return performance(scored_of(patients), chosen)

        own, pooled = _outcomes(cohorts, columns, of_finding)
        return ExternalEvaluation(run, name, Audience.OWNER, chosen, own, pooled)

    def of_classes(patients: Patients) -> ClassPerformance:
        return class_performance(outcome, patients)

    each, together = _outcomes(cohorts, columns, of_classes)
    return ClassEvaluation(
        run, name, Audience.OWNER, Chosen(), each, together, finished.stored.config.outcome
    )


def _outcomes(
    cohorts: Sequence[ScoredCohort], columns: Sequence[Column], of: Callable[[Patients], P]
) -> tuple[tuple[Cohort[P], ...], Cohort[P] | None]:
    """Each cohort, and all together where there are several."""
    each = tuple(
        replace(
            _outcome(one.scores.site, one.scores.finding, one.scores.patients, columns, of),
            remarks=one.remarks,
            took_part=one.took_part,
        )
        for one in cohorts
    )
    if len(cohorts) == 1:
        return each, None
    patients = tuple(patient for one in cohorts for patient in one.scores.patients)
    findings = dict.fromkeys(one.scores.finding for one in cohorts)
    return each, _outcome(ALL, " / ".join(findings), patients, columns, of)


def chosen_by(finished: FinishedRun) -> Chosen:
    """What the run chose on its validation patients."""
    if finished.calibration is None:
        return Chosen(caution=finished.caution)
    return Chosen(finished.calibration.points, finished.calibration.recalibration)


def _outcome(
    name: str,
    finding: str,
    patients: Patients,
    columns: Sequence[Column],
    of: Callable[[Patients], P],
) -> Cohort[P]:
    return Cohort(
        name=name,
        finding=finding,
        images=sum(patient.images for patient in patients),
        performance=of(patients),
        subgroups=tuple(
            SubgroupOutcome(column.name, value, of(own))
            for column in columns
            for value, own in divide(column, patients).items()
        ),
    )


def scored_of(patients: Sequence[PatientScore]) -> Scored:
    """These patients with their exact scores."""
    return Scored.of([one.score for one in patients], [one.truth for one in patients])
