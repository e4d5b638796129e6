"""The comparison of two mean AUROCs against DeLong's test, and against a slow loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from shared.metrics.classes.paired import (
    NEITHER,
    ContrastSums,
    Integers,
    compare_means,
    mean_area,
    require_possible_sums,
    sums_of_repeats,
)
from shared.metrics.delong import delong_test, paired_comparison
from shared.metrics.histogram import Histogram, bin_of
from shared.metrics.paired import ClassSums, PairedSums, placements


def contrasts_of(bins: Integers, sides: Integers) -> tuple[Histogram, ...]:
    return tuple(
        Histogram.from_bins(own[side != NEITHER], side[side != NEITHER])
        for own, side in zip(bins.T, sides.T, strict=True)
    )


def scored(seed: int, patients: int, scores: int, *, missing: bool) -> tuple[Integers, ...]:
    """Sides, and the bins under A and B, which share some of their noise."""
    rng = np.random.default_rng(seed)
    if missing:
        sides = rng.choice([0, 1, NEITHER], size=(patients, scores), p=[0.5, 0.3, 0.2])
    else:
        sides = (np.arange(patients)[:, None] % scores == np.arange(scores)).astype(np.int64)
    shared = rng.normal(size=sides.shape) + 1.2 * (sides == 1)
    return sides, *(bin_of(shared + rng.normal(size=sides.shape)) for _ in "ab")


def slow_error(sides: Integers, a: Integers, b: Integers) -> float:
    """Patient by patient, from each one's place among those of the other side."""
    total = np.zeros(len(sides))
    for side, *both in zip(sides.T, a.T, b.T, strict=True):
        for sign, own in zip((1, -1), both, strict=True):
            above = np.heaviside(own[side == 1, None] - own[None, side == 0], 0.5)
            for k, places in (1, above.mean(axis=1)), (0, above.mean(axis=0)):
                n = len(places)
                total[side == k] += sign * (places - above.mean()) / math.sqrt(n * (n - 1))
    return math.sqrt(float((total**2).sum())) / int(sides.shape[1])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999), st.booleans(), st.integers(2, 4))
def test_the_error_is_that_of_a_slow_loop_however_sites_share_the_patients(
    seed: int, missing: bool, scores: int
) -> None:
    sides, a, b = scored(seed, 60, scores, missing=missing)
    of_a, of_b = contrasts_of(a, sides), contrasts_of(b, sides)
    sites = [
        sums_of_repeats([a[part]], [b[part]], sides[part], [of_a], [of_b])
        for part in (slice(0, 17), slice(17, 17), slice(17, 60))
    ]
    for one in sites:
        require_possible_sums(one)
    found = compare_means(of_a, of_b, sites[0] + sites[1] + sites[2])
    assert found == pytest.approx(slow_error(sides, a, b), rel=1e-6)
    areas = [roc_auc_score(side[side != NEITHER], own[side != NEITHER])
             for side, own in zip(sides.T, a.T, strict=True)]  # fmt: skip
    assert mean_area(of_a) == pytest.approx(np.mean(areas))


def test_of_one_contrast_it_is_delongs_test_of_the_mean_over_repeats() -> None:
    sides, a, b = scored(1, 80, 1, missing=True)
    _, c, d = scored(2, 80, 1, missing=True)
    known = sides[:, 0] != NEITHER
    repeats = [[a, c], [b, d]]
    pooled = [[contrasts_of(one, sides) for one in own] for own in repeats]
    sums = sums_of_repeats(repeats[0], repeats[1], sides, pooled[0], pooled[1])
    mean_a, mean_b = (float(np.mean([mean_area(one) or 0.0 for one in own])) for own in pooled)
    error = compare_means(pooled[0][0], pooled[1][0], sums)
    found = paired_comparison(mean_a, mean_b, mean_a - mean_b, error)
    places_a, places_b = ([placements(one[0]) for one in own] for own in pooled)
    bins_a, bins_b = ([one[known, 0] for one in own] for own in repeats)
    wanted = delong_test(PairedSums.of_repeats(bins_a, bins_b, sides[known, 0], places_a, places_b))
    assert wanted is not None
    assert found.standard_error == pytest.approx(wanted.standard_error, rel=1e-9)
    assert found.p == pytest.approx(wanted.p, rel=1e-6)
    assert found.ci95 == pytest.approx(wanted.ci95)


def test_equal_scorings_differ_by_nothing_and_one_patient_of_a_class_has_no_error() -> None:
    sides, a, _ = scored(3, 40, 3, missing=False)
    of_a = contrasts_of(a, sides)
    sums = sums_of_repeats([a], [a], sides, [of_a], [of_a])
    same = paired_comparison(0.7, 0.7, 0.0, compare_means(of_a, of_a, sums))
    assert (same.standard_error, same.p, same.ci95) == (0.0, 1.0, None)
    few = np.concatenate([sides[:, :2], np.eye(1, 40, dtype=np.int64).T], axis=1)
    alone = contrasts_of(a, few)
    sums = sums_of_repeats([a], [a], few, [alone], [alone])
    assert compare_means(alone, alone, sums) is None
    assert paired_comparison(0.7, 0.6, 0.1, None).p is None


def test_sums_of_other_patients_and_impossible_ones_are_refused() -> None:
    sides, a, b = scored(4, 60, 3, missing=False)
    of_a, of_b = contrasts_of(a, sides), contrasts_of(b, sides)
    part = sums_of_repeats([a[:20]], [b[:20]], sides[:20], [of_a], [of_b])
    with pytest.raises(ValueError, match="do not add up to zero"):
        compare_means(of_a, of_b, part)
    for wrong in (ClassSums(1, 0, 0, -1, 0, 0), ClassSums(2, 4, 0, 1, 1, 0),
                  ClassSums(2, 0, 0, 1, 1, 5)):  # fmt: skip
        with pytest.raises(ValueError, match="no patients have such sums"):
            require_possible_sums(ContrastSums(wrong, 1))
    with pytest.raises(ValueError, match="cannot be added"):
        part + ContrastSums(ClassSums(), 2)
    with pytest.raises(ValueError, match="both must be"):
        sums_of_repeats([a[:, :2]], [b], sides, [of_a], [of_b])
