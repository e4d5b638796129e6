"""The files of an evaluation, against the patients that they are of."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from server.external.cohorts import ScoredCohort
from server.external.document import to_json
from server.external.tables import metrics_csv, reliability_csv, roc_csv
from server.results.external import ExternalEvaluation
from server.results.shown import Shown
from shared.run.patient_scores import PatientScore, ScoreFile
from shared.run.score_table import scores_csv

Make = Callable[..., Any]
Values = NDArray[Any]
Metrics = Mapping[str, Callable[[], Any]]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def cohorts(cohort: Make) -> list[ScoredCohort]:
    return [
        cohort("north", {"F": (30, 40), "M": (20, 60), "": (2, 1)}),
        cohort("east", {"F": (12, 9), "M": (1, 0)}, seed=1),
    ]


@pytest.fixture(scope="module")
def found(cohorts: list[ScoredCohort], evaluation: Make) -> ExternalEvaluation:
    result: ExternalEvaluation = evaluation(*cohorts)
    return result


def of_group(cohorts: list[ScoredCohort], name: str, sex: str | None) -> list[PatientScore]:
    return [
        patient
        for one in cohorts
        for patient in one.scores.patients
        if name in (one.scores.site, "all cohorts")
        and (sex is None or (patient.values["sex"][0] or "not stated") == sex)
    ]


def by_scikit_learn(truth: Values, score: Values, threshold: float) -> Metrics:
    called = score >= threshold
    again = 1 / (1 + np.exp(0.2 - 1.3 * np.log(score / (1 - score))))
    return {
        "AUROC": partial(roc_auc_score, truth, score),
        "AUPRC": partial(average_precision_score, truth, score),
        "prevalence": truth.mean,
        "sensitivity": partial(recall_score, truth, called),
        "specificity": partial(recall_score, truth, called, pos_label=0),
        "positive predictive value": partial(precision_score, truth, called),
        "negative predictive value": partial(precision_score, truth, called, pos_label=0),
        "Brier score, uncalibrated": partial(brier_score_loss, truth, score),
        "Brier score, recalibrated": partial(brier_score_loss, truth, again),
    }


def test_each_row_is_what_scikit_learn_says_of_these_patients(
    cohorts: list[ScoredCohort], found: ExternalEvaluation
) -> None:
    rows = rows_of(metrics_csv(Shown(found)))
    seen = set()
    for row in rows:
        patients = of_group(cohorts, row["cohort"], row["group"] or None)
        truth = np.array([one.truth for one in patients])
        score = np.array([one.score for one in patients])
        assert [int(row[key]) for key in ("patients", "positives", "negatives")] == [
            len(truth), truth.sum(), (1 - truth).sum(),
        ]  # fmt: skip
        expected = by_scikit_learn(truth, score, float(row["threshold"] or 0))
        if row["metric"] not in expected or not row["estimate"]:
            continue
        estimate = float(row["estimate"])
        assert estimate == pytest.approx(expected[row["metric"]]())
        if len(truth) > 1:
            assert float(row["ci_low"]) <= estimate <= float(row["ci_high"])
        seen.add((row["cohort"], row["group"], row["metric"]))
    groups = {(cohort, group) for cohort, group, _ in seen}
    assert groups == {
        ("north", ""), ("north", "F"), ("north", "M"), ("north", "not stated"), ("east", ""),
        ("east", "F"), ("east", "M"), ("all cohorts", ""), ("all cohorts", "F"),
        ("all cohorts", "M"), ("all cohorts", "not stated"),
    }  # fmt: skip
    assert len({metric for cohort, _, metric in seen if cohort == "north"}) == len(expected)


def test_an_undefined_metric_has_a_row_without_a_value(found: ExternalEvaluation) -> None:
    (row,) = (
        row for row in rows_of(metrics_csv(Shown(found)))
        if (row["cohort"], row["group"], row["metric"]) == ("east", "M", "AUROC")
    )  # fmt: skip
    assert (row["estimate"], row["ci_low"], row["interval"], row["positives"]) == ("", "", "", "1")


def test_the_curves_are_those_of_the_scores(
    cohorts: list[ScoredCohort], found: ExternalEvaluation
) -> None:
    patients = of_group(cohorts, "north", None)
    expected = roc_curve(
        [one.truth for one in patients], [one.score for one in patients], drop_intermediate=False
    )
    rows = [row for row in rows_of(roc_csv(Shown(found))) if row["cohort"] == "north"]
    for column, values in zip(
        ("false_positive_rate", "true_positive_rate"), expected, strict=False
    ):
        assert [float(row[column]) for row in rows] == pytest.approx(list(values))
    assert [float(row["threshold"]) for row in rows[1:]] == pytest.approx(list(expected[2][1:]))
    reliability = rows_of(reliability_csv(Shown(found)))
    assert {row["probabilities"] for row in reliability} == {"uncalibrated", "recalibrated"}
    held = sum(
        float(row["patients"])
        for row in reliability
        if (row["cohort"], row["probabilities"]) == ("north", "recalibrated")
    )
    assert held == len(patients)


def test_the_document_says_for_whom_it_is_and_what_was_chosen_before(
    found: ExternalEvaluation,
) -> None:
    document = json.loads(to_json(Shown(found)))
    assert (document["audience"], document["finding"]) == ("owner", ["pneumonia (1)"])
    assert document["chosen_before"]["on"] == "the run's validation patients"
    assert document["chosen_before"]["recalibration"] == {"intercept": -0.2, "slope": 1.3}
    north, _ = document["cohorts"]
    assert [point["name"] for point in north["operating_points"]] == [
        "youden", "sensitivity-0.9", "default",
    ]  # fmt: skip
    assert [group["group"] for group in north["subgroups"]] == ["F", "M", "not stated"]
    assert document["pooled"]["patients"] == 175


def test_a_run_that_chose_nothing_has_the_default_threshold_alone(
    cohorts: list[ScoredCohort], evaluation: Make
) -> None:
    document = json.loads(to_json(Shown(evaluation(cohorts[0], calibration=None))))
    (north,) = document["cohorts"]
    assert [point["threshold"] for point in north["operating_points"]] == [0.5]
    assert north["calibration"]["after_recalibration"] is None
    assert document["pooled"] is None


@pytest.mark.parametrize("hostile", ["=cmd()", "+1", "@x", "-2", "\uff1dcmd()"])
def test_no_text_is_a_formula(hostile: str, evaluation: Make) -> None:
    patient = PatientScore("north", hostile, 1, 0.25, 2, {"sex": (hostile,)})
    file = ScoreFile("north", "all", "x (1)", 5, (patient,))
    (row,) = rows_of(scores_csv([file], (0.5, 2.0), [{hostile: [hostile]}]))
    assert (row["patient"], row[f"'{hostile}"]) == (f"'{hostile}", f"'{hostile}")
    expected = 1 / (1 + np.exp(-0.5 + 2.0 * np.log(3)))
    assert float(row["recalibrated_score"]) == pytest.approx(expected)
    assert (row["truth"], row["score"], row["images"]) == ("1", "0.25", "2")
    metrics = rows_of(metrics_csv(Shown(evaluation(ScoredCohort(file, ())))))
    assert {one["group"] for one in metrics} == {"", f"'{hostile}"}


def test_scores_without_a_recalibration_have_an_empty_column(cohorts: list[ScoredCohort]) -> None:
    rows = rows_of(scores_csv([one.scores for one in cohorts], None))
    assert {row["recalibrated_score"] for row in rows} == {""}
    assert len({(row["site"], row["patient"]) for row in rows}) == 175
