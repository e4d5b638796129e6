"""Whole studies of a quick learner: equal arms are not told apart, unequal ones are.

The bounds are those that a study which keeps its word misses once in a thousand times.
"""

from __future__ import annotations

import pytest
from scipy.stats import binom

from benchmarks.study_statistics import LEVEL, Design, Outcome, simulate

pytestmark = pytest.mark.slow

STUDIES = 200


@pytest.fixture(scope="module")
def equal_arms() -> list[Outcome]:
    return [simulate(Design(patients=60, repeats=3), seed) for seed in range(STUDIES)]


def differ(outcomes: list[Outcome]) -> int:
    return sum(one.p is not None and one.p < LEVEL for one in outcomes)


def test_equal_arms_differ_no_more_often_than_the_level_says(equal_arms: list[Outcome]) -> None:
    assert differ(equal_arms) <= binom.ppf(0.999, STUDIES, LEVEL)


def test_the_signed_rank_test_keeps_its_own_level(equal_arms: list[Outcome]) -> None:
    """Three repeats give 0.25 at best, and equal arms no more often than that."""
    found = sum(one.smallest_rank for one in equal_arms)
    assert found <= binom.ppf(0.999, STUDIES, 0.25)


def test_intervals_hold_the_truth(equal_arms: list[Outcome]) -> None:
    truth = sum(one.true_auroc for one in equal_arms) / STUDIES
    held = sum(
        one.interval is not None and one.interval[0] <= truth <= one.interval[1]
        for one in equal_arms
    )
    assert held >= binom.ppf(0.001, STUDIES, 0.95)


def test_unequal_arms_are_told_apart() -> None:
    """Else the first test would hold for a study that never finds anything."""
    design = Design(patients=160, repeats=3, shift=0.8, noise=(0.1, 0.9))
    found = differ([simulate(design, seed) for seed in range(60)])
    assert found >= 45
