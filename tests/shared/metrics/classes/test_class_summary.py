"""Every metric of several classes against scikit-learn, of the same patients' scores.

Probabilities are multiples of 1/20, so far apart that different ones never share a bin: what is
computed of bins is then equal to what is computed of scores, but for rounding.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from itertools import combinations
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk

from shared.metrics.binary import ece
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.results import ClassMetrics
from shared.metrics.classes.summary import summarise_counts
from shared.metrics.histogram import Histogram, bin_of_probability, bin_probabilities

Shares = NDArray[np.float64]
Labels = NDArray[np.int64]
NAMES = "abcd"


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[Shares, Labels]:
    """Probabilities (patients, K) that add up to 1, and labels; classes may have no patients."""
    classes, patients = draw(st.integers(2, 4)), draw(st.integers(1, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    twentieths = 1 + rng.multinomial(20 - classes, rng.dirichlet(np.ones(classes)), patients)
    present = rng.permutation(classes)[: draw(st.integers(1, classes))]
    return twentieths / 20, rng.choice(present, patients)


def quiet(compute: Callable[..., Any], *args: Any, **options: Any) -> float | None:
    """What scikit-learn says; None where it says that this is undefined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = float(compute(*args, **options))
    return None if math.isnan(found) else found


def same(ours: float | None, theirs: float | None) -> None:
    assert ours == (theirs if theirs is None else pytest.approx(theirs, abs=1e-12))


def area(positive: NDArray[np.bool_], scores: Shares) -> float | None:
    return None if len({*positive.tolist()}) < 2 else float(sk.roc_auc_score(positive, scores))


def mean(values: list[float | None]) -> float | None:
    held = [one for one in values if one is not None]
    return float(np.mean(held)) if held else None


def nominal(shares: Shares, labels: Labels) -> ClassMetrics:
    bins, classes = bin_of_probability(shares), shares.shape[1]
    counts = ClassCounts.from_bins(bins, labels, shares.argmax(axis=1), classes)
    return cast(ClassMetrics, summarise_counts(NAMES[:classes], counts))


ONE = np.array([[0.5, 0.25, 0.25]]), np.array([2])
TIED = np.full((6, 3), 1 / 3), np.array([0, 0, 1, 1, 2, 2])


@settings(max_examples=30, deadline=None)
@example(ONE)
@example(TIED)
@given(cohorts())
def test_aurocs_of_classes_are_those_of_scikit_learn(cohort: tuple[Shares, Labels]) -> None:
    shares, labels = cohort
    classes, found = shares.shape[1], nominal(shares, labels)
    areas = [area(labels == one, shares[:, one]) for one in range(classes)]
    for one, own in enumerate(found.classes.values()):
        same(own.auroc, areas[one])
    same(found.auroc, mean(areas))
    assert found.auroc_of == sum(one is not None for one in areas)
    pairs = []
    for a, b in combinations(range(classes), 2):
        both = np.isin(labels, [a, b])
        of_a, of_b = (area(labels[both] == one, shares[both, one]) for one in (a, b))
        pairs.append(None if of_a is None or of_b is None else (of_a + of_b) / 2)
    same(found.auroc_one_vs_one, mean(pairs))
    if classes > 2 and len({*labels.tolist()}) == classes:
        for ours, kind, average in [
            (found.auroc, "ovr", "macro"),
            (found.auroc_weighted, "ovr", "weighted"),
            (found.auroc_one_vs_one, "ovo", "macro"),
        ]:
            same(ours, quiet(sk.roc_auc_score, labels, shares, multi_class=kind, average=average))


@settings(max_examples=30, deadline=None)
@example(ONE)
@example(TIED)
@given(cohorts())
def test_agreement_and_calibration_are_those_of_scikit_learn(
    cohort: tuple[Shares, Labels],
) -> None:
    shares, labels = cohort
    classes, found, called = shares.shape[1], nominal(shares, labels), shares.argmax(axis=1)
    assert found.confusion == tuple(
        map(tuple, sk.confusion_matrix(labels, called, labels=range(classes)).tolist())
    )
    same(found.accuracy, float(sk.accuracy_score(labels, called)))
    same(found.balanced_accuracy, quiet(sk.balanced_accuracy_score, labels, called))
    same(found.f1, quiet(sk.f1_score, labels, called, average="macro"))
    same(found.kappa, quiet(sk.cohen_kappa_score, labels, called))
    binned = bin_probabilities()[bin_of_probability(shares)]
    for one, own in enumerate(found.classes.values()):
        true, guessed = labels == one, called == one
        assert own.support == true.sum()
        undefined = {"zero_division": np.nan}
        same(own.sensitivity, quiet(sk.recall_score, true, guessed, **undefined))
        same(own.precision, quiet(sk.precision_score, true, guessed, **undefined))
        same(own.f1, quiet(sk.f1_score, true, guessed, **undefined))
        same(own.brier, float(np.mean((true - binned[:, one]) ** 2)))
        if 0 < true.sum() < len(true):
            same(own.brier, quiet(sk.brier_score_loss, true, binned[:, one]))
        same(own.ece, ece(Histogram.from_bins(bin_of_probability(shares[:, one]), true)))
    same(found.brier, mean([own.brier for own in found.classes.values()]))


@settings(max_examples=20, deadline=None)
@example(ONE)
@example(TIED)
@given(cohorts())
def test_an_ordinal_outcome_is_judged_by_its_cuts(cohort: tuple[Shares, Labels]) -> None:
    shares, labels = cohort
    classes = shares.shape[1]
    above = np.cumsum(shares[:, ::-1], axis=1)[:, ::-1][:, 1:].round(2)
    called = (above > 0.5).sum(axis=1)
    counts = ClassCounts.from_bins(bin_of_probability(above), labels, called, classes)
    found = cast(ClassMetrics, summarise_counts(NAMES[:classes], counts))
    areas = [area(labels > cut, above[:, cut]) for cut in range(classes - 1)]
    assert list(found.cuts) == list(NAMES[1:classes])
    for cut, own in enumerate(found.cuts.values()):
        same(own.auroc, areas[cut])
        assert (own.positives, own.negatives) == ((labels > cut).sum(), (labels <= cut).sum())
    same(found.auroc, mean(areas))
    options = {"labels": list(range(classes)), "weights": "quadratic"}
    same(found.kappa_quadratic, quiet(sk.cohen_kappa_score, labels, called, **options))
    assert found.auroc_one_vs_one is None
    assert all(own.auroc is None for own in found.classes.values())


@settings(max_examples=20, deadline=None)
@given(cohorts())
def test_intervals_hold_what_they_are_of_and_all_fits_in_json(
    cohort: tuple[Shares, Labels],
) -> None:
    found = nominal(*cohort)
    document = found.to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    for of in (document, *document["classes"].values()):
        for name, value in of.items():
            if name.endswith("_ci95") and value is not None:
                low, high = value
                assert -1 <= low <= of[name.removesuffix("_ci95")] <= high <= 1
    assert (found.auroc is None) == (found.auroc_ci95 is None)
    assert (found.balanced_accuracy_ci95 or (0, 0))[1] > 0


def test_nobody_has_no_metrics() -> None:
    found = cast(ClassMetrics, summarise_counts("abc", ClassCounts.empty(3, 3)))
    assert (found.auroc, found.accuracy, found.kappa, found.brier) == (None,) * 4
    assert (found.auroc_of, found.patients) == (0, 0)
    with pytest.raises(ValueError, match="counts of 3 classes"):
        summarise_counts("ab", ClassCounts.empty(3, 3))
    with pytest.raises(ValueError, match="counts of 3 classes"):
        summarise_counts("aab", ClassCounts.empty(3, 3))
