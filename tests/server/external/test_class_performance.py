"""Metrics of several classes and of labels from patients' scores, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, roc_auc_score

from server.external.class_performance import class_performance
from shared.metrics.classes.results import ClassMetrics
from shared.outcome.registry import outcome_of
from shared.run.patient_scores import PatientScore

NAMES = ["none", "mild", "severe"]


def patients(truth: list[int], scores: list[list[float]]) -> list[PatientScore]:
    return [
        PatientScore("north", f"p{n}", label, 0.0, 1, scores=tuple(own))
        for n, (label, own) in enumerate(zip(truth, scores, strict=True))
    ]


def test_classes_are_counted_as_scikit_learn_counts_them() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 3, 120)
    scores = rng.dirichlet([1, 1, 1], 120) * 0.6 + 0.4 * np.eye(3)[truth] * rng.random((120, 1))
    scores /= scores.sum(axis=1, keepdims=True)
    found = class_performance(
        outcome_of("classes", NAMES), patients(truth.tolist(), scores.tolist())
    ).metrics
    assert isinstance(found, ClassMetrics)
    assert found.patients == 120
    assert found.accuracy == pytest.approx(accuracy_score(truth, scores.argmax(axis=1)))
    assert found.kappa == pytest.approx(cohen_kappa_score(truth, scores.argmax(axis=1)))
    for place, name in enumerate(NAMES):
        # Scores are counted in bins, so ties may differ by a hair.
        expected = roc_auc_score(truth == place, scores[:, place])
        assert found.classes[name].auroc == pytest.approx(expected, abs=0.003)
