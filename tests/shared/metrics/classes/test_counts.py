"""Counts of several classes against a slow loop; the laws of addition; refusals."""

from __future__ import annotations

import dataclasses
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.metrics.classes.counts import ClassCounts
from shared.metrics.histogram import SCORE_BINS, Histogram

Cohort = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int]


@st.composite
def cohorts(draw: st.DrawFn, classes: int | None = None, ordinal: bool | None = None) -> Cohort:
    """Bins (patients, S), labels, predictions, K; down to no patients at all."""
    number = classes or draw(st.integers(2, 4))
    scores = number - (draw(st.booleans()) if ordinal is None else ordinal)
    patients = draw(st.integers(0, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from([2, 20, SCORE_BINS]))
    return (
        rng.integers(0, spread, (patients, scores)),
        rng.integers(0, number, patients),
        rng.integers(0, number, patients),
        number,
    )


@settings(max_examples=30)
@given(cohorts())
def test_counts_are_those_of_a_loop_over_patients(cohort: Cohort) -> None:
    bins, labels, predicted, classes = cohort
    counts = ClassCounts.from_bins(*cohort)
    for score, label, place in product(range(bins.shape[1]), range(classes), range(3)):
        held = sum(
            1
            for own, true in zip(bins, labels, strict=True)
            if (true, own[score]) == (label, place)
        )
        assert counts.scores[score, label, place] == held
    for true, called in product(range(classes), repeat=2):
        both = [t == true and c == called for t, c in zip(labels, predicted, strict=True)]
        assert counts.confusion[true, called] == sum(both)
    for label, a, b in product(range(classes), range(bins.shape[1]), range(bins.shape[1])):
        own = bins[labels == label].tolist()
        assert counts.products[label, a, b] == sum(one[a] * one[b] for one in own)
    assert counts.support == tuple(int((labels == one).sum()) for one in range(classes))
    assert counts.patients == len(labels)
    assert counts.ordinal == (bins.shape[1] < classes)


@settings(max_examples=30)
@given(cohorts())
def test_a_score_against_the_rest_is_the_binary_histogram(cohort: Cohort) -> None:
    bins, labels, _, classes = cohort
    counts = ClassCounts.from_bins(*cohort)
    for score in range(bins.shape[1]):
        high = labels > score if bins.shape[1] < classes else labels == score
        assert counts.split_by(score) == Histogram.from_bins(bins[:, score], high)
        pair = np.isin(labels, [0, 1])
        of_pair = Histogram.from_bins(bins[pair, score], labels[pair])
        assert counts.pair(score, 1, 0) == of_pair


@settings(max_examples=20)
@given(st.lists(cohorts(classes=3, ordinal=False), max_size=3))
def test_the_sum_of_sites_is_the_count_of_all_patients(sites: list[Cohort]) -> None:
    counted = [ClassCounts.from_bins(*one) for one in sites]
    nobody = ClassCounts.empty(3, 3)
    assert sum(counted, start=nobody) == sum(counted[::-1], start=nobody)
    if sites:
        bins, labels, predicted = (
            np.concatenate([one[index] for one in sites]) for index in range(3)
        )
        whole = ClassCounts.from_bins(bins, labels, predicted, 3)
        assert sum(counted, start=nobody) == whole
        assert hash(counted[0] + nobody) == hash(counted[0])


COUNTS = ClassCounts.from_bins([[3, 400], [5, 300], [7, 2]], [0, 0, 2], [0, 1, 2], 3)


def _changed(name: str, place: tuple[int, ...], by: int) -> NDArray[np.int64]:
    changed: NDArray[np.int64] = getattr(COUNTS, name).copy()
    changed[place] += by
    return changed


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"confusion": _changed("confusion", (0, 0), 1)}, "different numbers of patients"),
        ({"scores": _changed("scores", (0, 0, 3), -2)}, "must lie in 0 to"),
        ({"scores": COUNTS.scores.astype(float)}, "must be integers"),
        ({"scores": COUNTS.scores[:1]}, "there are 3 scores, or 2"),
        ({"products": _changed("products", (0, 0, 0), 1)}, "not those of the scores' bins"),
        ({"products": _changed("products", (0, 0, 1), 1)}, "not those of the scores' bins"),
        (
            {"products": _changed("products", (0, 0, 1), 900) + _changed("products", (0, 1, 0), 900)
             - COUNTS.products},
            "No patients have such products",
        ),
        ({"confusion": COUNTS.confusion[:1, :1]}, "with 2 to 20 classes"),
    ],
)  # fmt: skip
def test_what_no_patients_can_have_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(COUNTS, **changes)


def test_patients_that_cannot_be_counted_are_refused() -> None:
    for bins, labels, predicted, sentence in [
        ([[1, 2]], [0, 1], [0, 1], "they must be"),
        ([[1, SCORE_BINS]], [0], [0], "A bin lies outside 0 to 513"),
        ([[1, 2]], [3], [0], "A class lies outside 0 to 2"),
        ([[1, 2]], [0], [-1], "A class lies outside 0 to 2"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            ClassCounts.from_bins(bins, labels, predicted, 3)
    with pytest.raises(ValueError, match="all sites must have the same classes"):
        COUNTS + ClassCounts.empty(3, 3)
    with pytest.raises(ValueError, match="read-only"):
        COUNTS.scores[0, 0, 0] = 1
