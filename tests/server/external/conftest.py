"""Evaluations of made-up patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from server.external.cohorts import ScoredCohort, evaluate_cohorts
from server.external.subgroups import Column
from server.results.external import ExternalEvaluation
from shared.run.finished import Calibration, FinishedRun, OperatingPoint, StoredRun
from shared.run.patient_scores import PatientScore, ScoreFile
from shared.settings.config import RunConfig

CALIBRATION = Calibration(
    0.9, (OperatingPoint("youden", 0.4), OperatingPoint("sensitivity-0.9", 0.25)), (-0.2, 1.3)
)


def make_cohort(
    name: str,
    counts: Mapping[str, tuple[int, int]],
    *,
    seed: int = 0,
    finding: str = "pneumonia (1)",
    min_cell: int = 5,
) -> ScoredCohort:
    """`counts` has positives and negatives by what the column `sex` says."""
    rng = np.random.default_rng(seed)
    found: list[PatientScore] = []
    for sex, classes in counts.items():
        for truth, number in zip((1, 0), classes, strict=True):
            scores = 1 / (1 + np.exp(-rng.normal(0.8 * truth - 0.3, 1, number)))
            found += [
                PatientScore(
                    name, f"{name}-{sex}-{truth}{n}", truth, float(score), 1, {"sex": (sex,)}
                )
                for n, score in enumerate(scores)
            ]
    return ScoredCohort(ScoreFile(name, "all", finding, min_cell, tuple(found)), ())


def make_evaluation(
    *cohorts: ScoredCohort, calibration: Calibration | None = CALIBRATION, name: str = "first"
) -> ExternalEvaluation:
    """The evaluation of a run that chose this, in subgroups by sex."""
    finished = FinishedRun(
        StoredRun("20260101-000000-abcdef", RunConfig(), ""), Path("model"), calibration
    )
    return evaluate_cohorts(finished, name, cohorts, [Column("sex")])


@pytest.fixture(scope="session")
def cohort() -> Callable[..., ScoredCohort]:
    """A cohort, by its name and what the column `sex` says of how many patients of each class."""
    return make_cohort


@pytest.fixture(scope="session")
def evaluation() -> Callable[..., ExternalEvaluation]:
    """The evaluation of cohorts, by sex."""
    return make_evaluation
