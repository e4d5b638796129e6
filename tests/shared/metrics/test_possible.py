"""Sums that patients can have, and those that only a broken or hostile site sends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.metrics.delong import delong_test
from shared.metrics.histogram import Histogram
from shared.metrics.paired import PairedSums, placements
from shared.metrics.possible import require_possible

PATIENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 1), st.booleans()), max_size=20
)


def sums_of(patients: list[tuple[int, int, int, bool]]) -> tuple[PairedSums, PairedSums]:
    """Of the patients of a site, and of those of another one; both among all of them."""
    a, b, labels, here = np.array(patients, dtype=np.int64).reshape(-1, 4).T
    places = [placements(Histogram.from_bins(bins, labels, 4)) for bins in (a, b)]
    there = here == 0
    return (
        PairedSums.of(a[~there], b[~there], labels[~there], *places),
        PairedSums.of(a[there], b[there], labels[there], *places),
    )


@given(PATIENTS)
def test_whatever_patients_have_is_possible(patients: list[tuple[int, int, int, bool]]) -> None:
    mine, theirs = sums_of(patients)
    for sums in (mine, theirs, mine + theirs):
        require_possible(sums)


@given(PATIENTS, st.lists(st.integers(0, 40), min_size=5, max_size=5))
def test_of_what_is_possible_a_test_can_be_made(
    patients: list[tuple[int, int, int, bool]], said: list[int]
) -> None:
    """Whatever one site says beside others: what is let in never has a negative variance."""
    mine, theirs = sums_of(patients)
    names = ("a", "b", "aa", "bb", "ab")
    positives = replace(mine.positives, **dict(zip(names, said, strict=True)))
    claimed = replace(mine, positives=positives)
    try:
        require_possible(claimed)
    except ValueError:
        return
    sentence = ""
    try:
        delong_test(claimed + theirs)
    except ValueError as error:
        sentence = str(error)
    assert "math domain" not in sentence


def test_numbers_that_no_float_holds() -> None:
    mine, _ = sums_of([(0, 1, 0, True), (2, 3, 1, True), (1, 1, 1, True), (3, 0, 0, True)])
    require_possible(mine)
    huge = 10**200
    positives = replace(mine.positives, a=huge, aa=huge**2)
    negatives = replace(mine.negatives, a=huge, aa=huge**2)
    with pytest.raises(ValueError, match="no patients have such sums"):
        require_possible(replace(mine, positives=positives, negatives=negatives))
