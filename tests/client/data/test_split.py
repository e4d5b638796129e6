from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from client.data.cohort import Cohort, Radiograph
from client.data.split import split_patients
from shared.errors import SiteError


def cohort_of(labels: dict[str, int], images: int = 2) -> Cohort:
    return Cohort(
        "north",
        tuple(
            Radiograph(f"{patient}/{number}", patient, label, None)
            for patient, label in labels.items()
            for number in range(images)
        ),
    )


cohorts = st.dictionaries(st.text(max_size=6), st.integers(0, 1), min_size=4, max_size=60).filter(
    lambda labels: 2 <= sum(labels.values()) <= len(labels) - 2
)
fractions = st.floats(0.01, 0.5)
seeds = st.integers(0, 2**31 - 1)


@given(labels=cohorts, fraction=fractions, seed=seeds)
def test_every_patient_is_on_one_side_and_every_class_on_both(
    labels: dict[str, int], fraction: float, seed: int
) -> None:
    cohort = cohort_of(labels)
    split = split_patients(cohort, fraction, seed)
    train, validation = split.train.patients(), split.validation.patients()
    assert not train.keys() & validation.keys()
    assert train | validation == labels
    assert set(train.values()) == set(validation.values()) == {0, 1}
    together = split.train.radiographs + split.validation.radiographs
    assert sorted(r.digest for r in together) == sorted(r.digest for r in cohort.radiographs)
    for label in (0, 1):
        size = list(labels.values()).count(label)
        quota = list(validation.values()).count(label)
        assert abs(quota - fraction * size) <= 1


@given(labels=cohorts, fraction=fractions, seed=seeds, order=st.randoms())
def test_the_order_of_the_files_does_not_matter(
    labels: dict[str, int], fraction: float, seed: int, order: object
) -> None:
    turned = dict(reversed(labels.items()))
    first = split_patients(cohort_of(labels), fraction, seed)
    again = split_patients(cohort_of(turned, images=1), fraction, seed)
    assert first.validation.patients() == again.validation.patients()


@given(
    labels=cohorts,
    fraction=fractions,
    seed=seeds,
    name=st.text(max_size=6),
    label=st.integers(0, 1),
)
def test_a_new_patient_moves_others_by_the_change_of_the_quota_only(
    labels: dict[str, int], fraction: float, seed: int, name: str, label: int
) -> None:
    assume(name not in labels)
    before = split_patients(cohort_of(labels), fraction, seed).validation.patients()
    after = split_patients(cohort_of(labels | {name: label}), fraction, seed).validation.patients()
    # The new patient pushes out at most one, and the quota grows by at most one.
    moved = (before.keys() ^ after.keys()) - {name}
    assert len(moved) <= 1
    assert all(labels[patient] == label for patient in moved)


def test_seed_and_site_choose_the_patients() -> None:
    labels = {f"P{number}": number % 2 for number in range(60)}
    cohort = cohort_of(labels)
    chosen = split_patients(cohort, 0.2, 0).validation.patients()
    assert chosen != split_patients(cohort, 0.2, 1).validation.patients()
    elsewhere = Cohort("south", cohort.radiographs)
    assert chosen != split_patients(elsewhere, 0.2, 0).validation.patients()


def test_known_split_stays_as_it_is() -> None:
    # `printf '0|north|a' | sha256sum` and so on: the smallest of each class are these. A run
    # that is resumed must find the same patients.
    labels = {"a": 1, "b": 1, "c": 1, "d": 0, "e": 0, "f": 0}
    assert list(split_patients(cohort_of(labels), 0.2, 0).validation.patients()) == ["a", "f"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"SECRET": 1, "b": 0, "c": 0}, "Site 'north' has 1 positive patients"),
        ({"SECRET": 0, "b": 1, "c": 1}, "Site 'north' has 1 negative patients"),
        ({"b": 1, "SECRET": 1}, "Site 'north' has 0 negative patients"),
    ],
)
def test_a_class_of_fewer_than_two_is_an_error(labels: dict[str, int], message: str) -> None:
    with pytest.raises(SiteError, match=message) as caught:
        split_patients(cohort_of(labels), 0.2, 0)
    assert "SECRET" not in str(caught.value)
