from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.data.cohort import Cohort, Radiograph
from client.data.split import Folds, split_patients
from shared.errors import SiteError


def cohort_of(positives: int, negatives: int, site: str = "north", images: int = 2) -> Cohort:
    radiographs = [
        Radiograph(f"{label}-{number}-{image}", f"P{label}-{number}", label, None)
        for label, count in ((1, positives), (0, negatives))
        for number in range(count)
        for image in range(images)
    ]
    return Cohort(site, tuple(radiographs))


@given(st.integers(6, 30), st.integers(6, 30), st.integers(2, 5), st.integers(0, 10**6))
def test_folds_deal_out_every_patient_once_and_split_none(
    positives: int, negatives: int, count: int, seed: int
) -> None:
    cohort = cohort_of(positives, negatives)
    tested: list[str] = []
    for fold in range(count):
        split = split_patients(cohort, 0.2, seed, Folds(count, fold))
        parts = [set(part.patients()) for part in (split.train, split.validation, split.test)]
        assert set.union(*parts) == set(cohort.patients())
        assert sum(map(len, parts)) == positives + negatives
        counts = split.test.counts()
        # Stratified: a fold's share of a class is its even share, but for one patient.
        for one, patients in zip(counts.classes, (positives, negatives), strict=True):
            assert abs(one.patients - patients / count) < 1
        assert counts.images == 2 * counts.patients
        tested += split.test.patients()
    assert sorted(tested) == sorted(cohort.patients())


def test_without_folds_nobody_is_held_out() -> None:
    split = split_patients(cohort_of(8, 8), 0.25, 0)
    assert split.test.radiographs == ()
    assert split.train.counts().patients == 12


def test_another_seed_deals_out_anew() -> None:
    cohort = cohort_of(12, 12)
    tests = {
        tuple(split_patients(cohort, 0.2, seed, Folds(3, 0)).test.patients()) for seed in range(5)
    }
    assert len(tests) == 5


def test_small_sites_do_not_all_fill_the_first_folds() -> None:
    sizes = [0, 0, 0]
    for number in range(60):
        for fold in range(3):
            cohort = cohort_of(4, 4, site=f"site-{number}")
            sizes[fold] += split_patients(cohort, 0.2, 0, Folds(3, fold)).test.counts().patients
    # 8 patients a site: 160 a fold; always beginning with the first would give 240, 120, 120.
    assert max(sizes) - min(sizes) < 40


def test_a_class_that_the_test_fold_leaves_too_few_of() -> None:
    """Of two patients each fold takes one."""
    for fold in range(2):
        with pytest.raises(SiteError, match=r"1 positive patients besides those of the test fold"):
            split_patients(cohort_of(2, 9), 0.2, 0, Folds(2, fold))
