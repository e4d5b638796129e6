"""Scores in bins: edges, representatives, the laws of addition, refusals."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import ArrayLike, NDArray

from shared.metrics.histogram import (
    SCORE_BINS,
    Histogram,
    bin_edges,
    bin_of,
    bin_of_probability,
    bin_probabilities,
)

counts = hnp.arrays(np.int64, 7, elements=st.integers(0, 1000))
histograms = st.builds(Histogram, counts, counts)


def sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.asarray(logits, dtype=np.float64)))


def test_edges_are_uniform_in_the_logit_and_include_one_half() -> None:
    edges = bin_edges()
    assert SCORE_BINS == len(edges) + 1 == 514
    assert (edges[0], edges[-1]) == (-8, 8)
    np.testing.assert_array_equal(np.diff(edges), 1 / 32)
    assert 0 in edges


@given(st.floats(-20, 20))
def test_a_logit_lies_between_the_edges_of_its_bin(logit: float) -> None:
    walls = [-np.inf, *bin_edges(), np.inf]
    index = int(bin_of(logit))
    assert walls[index] <= logit < walls[index + 1]


def test_a_logit_on_an_edge_belongs_to_the_bin_above() -> None:
    edges = bin_edges()
    np.testing.assert_array_equal(bin_of(edges), np.arange(1, 514))
    np.testing.assert_array_equal(bin_of(np.nextafter(edges, -np.inf)), np.arange(513))


def test_infinite_logits_and_certain_probabilities_go_to_the_ends() -> None:
    np.testing.assert_array_equal(bin_of([-np.inf, np.inf]), [0, 513])
    np.testing.assert_array_equal(bin_of_probability([0, 1]), [0, 513])


@given(st.floats(-9, 9))
def test_a_probability_lands_in_the_bin_of_its_logit(logit: float) -> None:
    # Next to an edge the way through the probability may round to the other side.
    near_edge = abs(logit * 32 - round(logit * 32)) < 1e-6
    assert near_edge or bin_of_probability(sigmoid(logit)) == bin_of(logit)


def test_one_half_is_the_lowest_probability_of_its_bin() -> None:
    assert bin_of_probability(0.5) == bin_of(0.0) == 257
    assert bin_of_probability(np.nextafter(0.5, 0)) == 256


def test_the_probability_of_a_bin_lies_inside_it() -> None:
    walls = np.concatenate([[0], sigmoid(bin_edges()), [1]])
    probabilities = bin_probabilities()
    assert probabilities.shape == (514,)
    assert np.all((walls[:-1] < probabilities) & (probabilities < walls[1:]))
    np.testing.assert_allclose(probabilities + probabilities[::-1], 1)
    assert probabilities[257] == pytest.approx(sigmoid(1 / 64))
    assert probabilities[513] == pytest.approx(sigmoid(8 + 1 / 64))


@given(st.floats(0, 1))
def test_the_probability_of_a_bin_is_as_close_as_documented(probability: float) -> None:
    error = abs(bin_probabilities()[bin_of_probability(probability)] - probability)
    assert error < (0.00034 if not 0.00033 < probability < 0.99967 else 0.004)


def test_nan_is_never_counted() -> None:
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        Histogram.from_logits([0.0, np.nan], [0, 1])
    with pytest.raises(ValueError, match="1 of 1 scores are NaN"):
        bin_of_probability([np.nan])


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_a_probability_outside_0_to_1_is_refused(probability: float) -> None:
    with pytest.raises(ValueError, match=f"probability is {probability}"):
        bin_of_probability([probability])


def test_patients_are_counted_by_bin_and_class() -> None:
    histogram = Histogram.from_logits([-0.01, 0.0, 0.01, 0.01, 99.0], [0, 1, 1, 0, 1])
    assert {b: histogram.positives[b] for b in np.flatnonzero(histogram.positives)} == {
        257: 2,
        513: 1,
    }
    assert {b: histogram.negatives[b] for b in np.flatnonzero(histogram.negatives)} == {
        256: 1,
        257: 1,
    }
    assert (histogram.total_positives, histogram.total_negatives) == (3, 2)


@pytest.mark.parametrize("labels", [[True, False], [1.0, 0.0], np.array([1, 0], dtype=np.uint8)])
def test_labels_may_be_of_any_type_that_is_0_or_1(labels: ArrayLike) -> None:
    assert Histogram.from_logits([1.0, 2.0], labels) == Histogram.from_logits([1.0, 2.0], [1, 0])


@pytest.mark.parametrize("label", [2, -1, 0.5, np.nan])
def test_another_label_is_refused(label: float) -> None:
    with pytest.raises(ValueError, match=f"A label is {label}"):
        Histogram.from_logits([1.0, 2.0], [1, label])


@pytest.mark.parametrize(
    ("logits", "labels"), [([1.0, 2.0], [1]), ([[1.0], [2.0]], [[1], [0]]), (1.0, 1)]
)
def test_scores_and_labels_must_be_vectors_of_one_length(
    logits: ArrayLike, labels: ArrayLike
) -> None:
    with pytest.raises(ValueError, match=r"both must be \(patients,\)"):
        Histogram.from_logits(logits, labels)


@given(histograms, histograms, histograms)
def test_addition_is_a_commutative_monoid(a: Histogram, b: Histogram, c: Histogram) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Histogram.empty(7) == a
    assert hash(a + b) == hash(b + a)
    assert (a + b).total_positives == a.total_positives + b.total_positives
    assert (a + b).total_negatives == a.total_negatives + b.total_negatives


@given(histograms, histograms)
def test_histograms_are_equal_by_content(a: Histogram, b: Histogram) -> None:
    same = a.positives.tolist() == b.positives.tolist()
    same &= a.negatives.tolist() == b.negatives.tolist()
    assert (a == b) == same


@given(
    st.lists(
        st.tuples(
            st.floats(-12, 12) | st.integers(-400, 400).map(lambda k: k / 32),
            st.integers(0, 1),
            st.integers(0, 3),
        )
    )
)
def test_sites_add_up_to_all_patients(patients: list[tuple[float, int, int]]) -> None:
    merged = Histogram.empty()
    for site in range(4):
        own = [p for p in patients if p[2] == site]
        merged += Histogram.from_logits([p[0] for p in own], [p[1] for p in own])
    assert merged == Histogram.from_logits([p[0] for p in patients], [p[1] for p in patients])


def test_an_empty_histogram_has_no_patients() -> None:
    empty = Histogram.empty()
    assert (empty.bins, empty.total_positives, empty.total_negatives) == (514, 0, 0)
    assert empty != "something else"


def test_histograms_of_different_bins_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="514 and 4 bins cannot be added"):
        Histogram.empty() + Histogram.empty(4)


@pytest.mark.parametrize(
    ("positives", "negatives", "message"),
    [
        ([1, -2], [0, 0], "A count of positives is -2"),
        ([0, 0], [2**31, 0], "A count of negatives is 2147483648"),
        ([0.5, 1.0], [0, 0], "positives is of type float64"),
        ([True, False], [0, 0], "positives is of type bool"),
        ([1, 2], [1, 2, 3], "positives has 2 bins and negatives 3"),
        ([[1], [2]], [1, 2], r"positives has shape \(2, 1\)"),
        (np.array([], dtype=np.int64), [1], r"positives has shape \(0,\)"),
    ],
)
def test_counts_that_are_none_are_refused(
    positives: ArrayLike, negatives: ArrayLike, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Histogram(np.asarray(positives), np.asarray(negatives))


def test_counts_are_copied_and_read_only() -> None:
    source: NDArray[Any] = np.array([1, 2], dtype=np.int32)
    histogram = Histogram(source, source)
    source[0] = 9
    assert histogram.positives.tolist() == [1, 2]
    assert histogram.positives.dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        histogram.positives[0] = 5


def test_metrics_need_neither_torch_nor_scikit_learn() -> None:
    script = "import sys, shared.metrics; print({'torch', 'sklearn'} & set(sys.modules))"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert output.stdout.decode().strip() == "set()"
