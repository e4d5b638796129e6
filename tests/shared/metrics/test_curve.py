"""Curves and their band, against scikit-learn on the binned scores and by simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import ConvexHull
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score, roc_curve

from shared.metrics.band import RocBand, roc_band
from shared.metrics.binary import confusion
from shared.metrics.curve import precision_recall_points, roc_points
from shared.metrics.histogram import Histogram, bin_of

Cohort = tuple[NDArray[np.float64], NDArray[np.int64]]
BINS = 7
counts = st.lists(st.integers(0, 4), min_size=BINS, max_size=BINS)


@st.composite
def cohorts(draw: st.DrawFn) -> Cohort:
    """Logits and labels of 2 to 40 patients, both classes present, ties and ends likely."""
    place = st.integers(-20, 20).map(lambda k: k / 2) | st.floats(-10, 10)
    logits = draw(st.lists(place, min_size=2, max_size=40))
    labels = draw(st.lists(st.integers(0, 1), min_size=len(logits), max_size=len(logits)))
    labels[:2] = [0, 1]
    return np.array(logits), np.array(labels)


@given(cohorts())
def test_roc_points_are_scikit_learns(cohort: Cohort) -> None:
    logits, labels = cohort
    points = roc_points(Histogram.from_logits(logits, labels))
    false_rates, true_rates, _ = roc_curve(labels, bin_of(logits), drop_intermediate=False)
    assert [point.false_positive_rate for point in points] == pytest.approx(false_rates.tolist())
    assert [point.true_positive_rate for point in points] == pytest.approx(true_rates.tolist())


@given(cohorts())
def test_precision_recall_points_are_scikit_learns(cohort: Cohort) -> None:
    logits, labels = cohort
    points = precision_recall_points(Histogram.from_logits(logits, labels))
    precision, recall, _ = precision_recall_curve(labels, bin_of(logits))
    # scikit-learn ascends in the threshold and ends with a point of no patients.
    assert [point.precision for point in points] == pytest.approx(precision[-2::-1].tolist())
    assert [point.recall for point in points] == pytest.approx(recall[-2::-1].tolist())


@given(cohorts())
def test_a_threshold_gives_its_point(cohort: Cohort) -> None:
    logits, labels = cohort
    histogram = Histogram.from_logits(logits, labels)
    points = roc_points(histogram)
    assert points[0].threshold is None
    assert points[-1].threshold == 0
    for point in points[1:-1]:
        assert point.threshold is not None
        table = confusion(histogram, point.threshold)
        assert table.threshold == point.threshold
        assert point.true_positive_rate == table.true_positives / labels.sum()
        assert point.false_positive_rate == table.false_positives / (1 - labels).sum()


@given(counts, counts)
def test_the_convex_curve_is_the_hull_of_all_points(
    positives: list[int], negatives: list[int]
) -> None:
    histogram = Histogram(np.array(positives), np.array(negatives))
    hull = roc_points(histogram, convex=True)
    points = [(p.false_positive_rate, p.true_positive_rate) for p in roc_points(histogram)]
    if not points:
        assert hull == ()
        return
    assert set(hull) <= set(roc_points(histogram))
    corners = [(p.false_positive_rate, p.true_positive_rate) for p in hull]
    # The corner (1, 0) makes the hull of the points a body with the curve as its upper side.
    body = ConvexHull([*points, (1.0, 0.0)])
    assert auc(*zip(*corners, strict=True)) == pytest.approx(body.volume)
    expected = {(*points, (1.0, 0.0))[index] for index in body.vertices} - {(1.0, 0.0)}
    assert expected <= set(corners)
    slopes = [np.arctan2(y2 - y1, x2 - x1) for (x1, y1), (x2, y2) in itertools.pairwise(corners)]
    assert all(a > b for a, b in itertools.pairwise(slopes))


@given(counts, counts, st.integers(0, 12))
def test_a_step_holds_min_cell_patients(
    positives: list[int], negatives: list[int], min_cell: int
) -> None:
    histogram = Histogram(np.array(positives), np.array(negatives))
    points = roc_points(histogram, min_cell)
    recalls = precision_recall_points(histogram, min_cell)
    if not sum(positives) or not sum(negatives) or sum(positives + negatives) < min_cell:
        assert points == ()
        assert recalls == ()
        return
    ends = [(p.false_positive_rate, p.true_positive_rate) for p in (points[0], points[-1])]
    assert ends == [(0, 0), (1, 1)]
    assert set(points) - {points[-1]} <= set(roc_points(histogram))
    for one, two in itertools.pairwise(points):
        step = slice(two.first_bin, one.first_bin)
        assert sum(positives[step]) + sum(negatives[step]) >= max(min_cell, 1)
    assert [p.recall for p in recalls] == [p.true_positive_rate for p in points[1:]]


def test_grades_have_curves_without_thresholds() -> None:
    grades, labels = np.array([1, 1, 2, 3, 4, 4, 2]), np.array([0, 0, 0, 1, 1, 1, 1])
    histogram = Histogram.from_bins(grades - 1, labels, 4)
    points = roc_points(histogram)
    assert [point.first_bin for point in points] == [4, 3, 2, 1, 0]
    assert {point.threshold for point in points} == {None}
    area = auc([p.false_positive_rate for p in points], [p.true_positive_rate for p in points])
    assert area == pytest.approx(roc_auc_score(labels, grades))


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_there_is_no_curve_without_both_classes(labels: list[int]) -> None:
    histogram = Histogram.from_logits([0.5] * len(labels), labels)
    assert roc_points(histogram) == ()
    assert precision_recall_points(histogram) == ()
    assert roc_band(histogram) is None


def heights(line: tuple[tuple[float, float], ...], x: float) -> tuple[float, float]:
    """The lowest and highest point of a line at x."""
    found = [y for at, y in line if at == x]
    for (x1, y1), (x2, y2) in itertools.pairwise(line):
        if x1 < x < x2:
            found.append(y1 + (y2 - y1) * (x - x1) / (x2 - x1))
    return min(found), max(found)


def holds(band: RocBand, x: float, y: float) -> bool:
    return heights(band.lower, x)[0] - 1e-12 <= y <= heights(band.upper, x)[1] + 1e-12


@given(cohorts(), st.sampled_from([0.5, 0.95, 0.999]))
def test_the_band_holds_the_curve_within_the_unit_square(cohort: Cohort, level: float) -> None:
    histogram = Histogram.from_logits(*cohort)
    band = roc_band(histogram, level)
    assert band is not None
    for line in (band.lower, band.upper):
        assert (line[0], line[-1]) == ((0, 0), (1, 1))
        assert all(0 <= value <= 1 for point in line for value in point)
        assert all(x1 <= x2 and y1 <= y2 for (x1, y1), (x2, y2) in itertools.pairwise(line))
    for point in roc_points(histogram):
        assert holds(band, point.false_positive_rate, point.true_positive_rate)


@given(cohorts(), st.floats(0, 1), st.floats(0, 1))
def test_a_point_is_in_the_band_where_it_is_within_both_limits_of_the_curve(
    cohort: Cohort, x: float, y: float
) -> None:
    logits, labels = cohort
    band = roc_band(Histogram.from_logits(logits, labels))
    assert band is not None
    outside = 1 - np.sqrt(0.95)
    right, up = (np.sqrt(np.log(2 / outside) / 2 / (labels == k).sum()) for k in (0, 1))
    false_rates, true_rates, _ = roc_curve(labels, bin_of(logits), drop_intermediate=False)
    # Along the curve, densely: is there a place from which (x, y) is within the limits?
    along = np.linspace(0, len(false_rates) - 1, 200 * (len(false_rates) - 1) + 1)
    curve_x = np.interp(along, np.arange(len(false_rates)), false_rates)
    curve_y = np.interp(along, np.arange(len(true_rates)), true_rates)
    spare = np.minimum(right - np.abs(curve_x - x), up - np.abs(curve_y - y)).max()
    if abs(spare) > 0.02:
        assert holds(band, x, y) == (spare > 0)


@pytest.mark.parametrize("patients", [5, 20, 100, 1000])
def test_the_band_is_hardly_wider_than_the_exact_limits(patients: int) -> None:
    apart = Histogram(np.array([0, 2 * patients]), np.array([patients, 0]))
    band = roc_band(apart)
    assert band is not None
    # The corner (0, 1) of the curve is where the line below turns.
    right, top = band.lower[-3]
    for moved, size in ((right, patients), (1 - top, 2 * patients)):
        exact = stats.kstwo.ppf(np.sqrt(0.95), size)
        assert exact <= moved <= 1.1 * exact


@pytest.mark.parametrize(("positives", "negatives"), [(20, 30), (100, 60)])
def test_the_band_holds_the_true_curve_as_often_as_it_claims(
    positives: int, negatives: int
) -> None:
    generator = np.random.default_rng(7)
    labels = np.repeat([1, 0], [positives, negatives])
    cuts = np.linspace(-3, 4, 60)
    truth = list(zip(stats.norm.sf(cuts), stats.norm.sf(cuts, loc=1), strict=True))
    held = 0
    for _ in range(400):
        band = roc_band(Histogram.from_logits(generator.normal(labels, 1), labels))
        assert band is not None
        held += all(holds(band, x, y) for x, y in truth)
    assert held / 400 >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 400)


def test_refusals_of_curves() -> None:
    with pytest.raises(ValueError, match="min-cell is -1"):
        roc_points(Histogram.empty(), min_cell=-1)
    with pytest.raises(ValueError, match="min-cell is -1"):
        precision_recall_points(Histogram.empty(), min_cell=-1)
    with pytest.raises(ValueError, match="The confidence level is 1;"):
        roc_band(Histogram.empty(), level=1.0)
