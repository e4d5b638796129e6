from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from shared.metrics.binary import auroc, auroc_bounds
from shared.metrics.grades import MOST_LEVELS, GradeCounts, is_grade

PATIENTS = st.lists(
    st.tuples(st.sampled_from([1.0, 1.5, 2.0, 3.0, 4.0]), st.integers(0, 1)), max_size=40
)


@given(PATIENTS, PATIENTS)
def test_sites_are_added_up_whatever_grades_they_have(
    one: list[tuple[float, int]], other: list[tuple[float, int]]
) -> None:
    assert GradeCounts.of(one) + GradeCounts.of(other) == GradeCounts.of(one + other)
    assert GradeCounts.of(one) + GradeCounts.of(other) == GradeCounts.of(other + one)
    assert GradeCounts.of(one) + GradeCounts((), (), ()) == GradeCounts.of(one)


@given(PATIENTS)
def test_the_auroc_is_scikit_learns_on_the_grades(patients: list[tuple[float, int]]) -> None:
    labels = [label for _, label in patients]
    if len(set(labels)) < 2:
        return
    histogram = GradeCounts.of(patients).histogram()
    expected = roc_auc_score(labels, [grade for grade, _ in patients])
    assert auroc(histogram) == pytest.approx(expected)
    assert auroc_bounds(histogram) is not None


@pytest.mark.parametrize(
    ("levels", "positives", "negatives", "why"),
    [
        ((2.0, 1.0), (1, 1), (0, 0), "not ascending"),
        ((1.0, 1.0), (1, 1), (0, 0), "not ascending"),
        ((1.0,), (1, 1), (0,), "differ in number"),
        ((1.0,), (-1,), (0,), "negative"),
        ((float("nan"),), (1,), (0,), "not finite"),
        (tuple(map(float, range(MOST_LEVELS + 1))), (0,) * 21, (0,) * 21, "at most 20"),
    ],
)
def test_counts_that_are_none(
    levels: tuple[float, ...], positives: tuple[int, ...], negatives: tuple[int, ...], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        GradeCounts(levels, positives, negatives)


@pytest.mark.parametrize(
    ("values", "grade"),
    [
        ([], True),
        ([1.0, 1.0, 2.0, 2.0], True),
        ([1.0, 2.0, 3.0, 3.0], False),  # three values of four patients tell two of them apart
        ([float(n % 20) for n in range(1000)], True),
        ([float(n % 21) for n in range(1000)], False),
    ],
)
def test_few_values_of_many_patients_are_a_grade(values: list[float], grade: bool) -> None:
    assert is_grade(values) is grade


def test_nobody_graded_has_no_histogram() -> None:
    with pytest.raises(ValueError, match="Nobody has a grade"):
        GradeCounts((), (), ()).histogram()
