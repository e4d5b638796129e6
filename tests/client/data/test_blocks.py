from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from client.data.blocks import deal_blocks, split_blocks
from client.data.cohort import Cohort, Radiograph
from client.data.split import Folds, Split
from client.policy.refusal import PolicyError

labelled = st.dictionaries(st.text(max_size=4), st.integers(0, 1), max_size=60)
sizes = st.integers(2, 8)
runs = st.tuples(
    st.floats(0.01, 0.5), st.integers(0, 2**31 - 1),
    st.one_of(st.just(Folds()), st.builds(lambda n, k: Folds(n, k % n), st.integers(2, 9),
                                          st.integers(0, 8))),
)  # fmt: skip


def cohort_of(labels: dict[str, int]) -> Cohort:
    return Cohort("north", tuple(Radiograph(f"{p}/0", p, own, None) for p, own in labels.items()))


def parts(split: Split) -> list[frozenset[str]]:
    return [frozenset(part.patients()) for part in (split.train, split.validation, split.test)]


@given(labelled, sizes)
def test_blocks_have_their_size_and_both_classes(labels: dict[str, int], size: int) -> None:
    blocks = deal_blocks(labels, "north", size)
    positives = sum(labels.values())
    assert len(blocks) == min(len(labels) // size, positives, len(labels) - positives)
    if not blocks:
        return
    assert sorted(itertools.chain(*blocks)) == sorted(labels)
    for block in blocks:
        assert len(block) >= size
        assert {labels[patient] for patient in block} == {0, 1}
        own = sum(labels[patient] for patient in block)
        assert abs(own - positives / len(blocks)) < 1
    assert max(map(len, blocks)) - min(map(len, blocks)) <= 1


# Many cohorts are too small for what is asked of them.
@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(labelled, sizes, st.lists(runs, min_size=2, max_size=4))
def test_no_two_sets_of_any_runs_differ_by_a_few_patients(
    labels: dict[str, int], size: int, asked: list[tuple[float, int, Folds]]
) -> None:
    """Nor does anything that is computed from them: each is a union of the same blocks."""
    blocks = deal_blocks(labels, "north", size)
    found: list[frozenset[str]] = []
    for fraction, seed, folds in asked:
        try:
            split = split_blocks(cohort_of(labels), blocks, fraction, seed, folds)
        except PolicyError:
            continue
        found += parts(split)
        assert split.train.radiographs
        assert split.validation.radiographs
    assume(found)
    for one, other in itertools.product(found, repeat=2):
        assert len(one - other) == 0 or len(one - other) >= size
    for one in found:
        assert all(block <= one or not block & one for block in blocks)


@given(st.integers(2, 9), st.integers(0, 10**6))
def test_over_the_folds_of_a_seed_every_patient_is_held_out_once(count: int, seed: int) -> None:
    labels = {f"P{n}": n % 3 % 2 for n in range(60)}
    blocks = deal_blocks(labels, "north", 5)
    tested: list[str] = []
    for fold in range(count):
        split = split_blocks(cohort_of(labels), blocks, 0.2, seed, Folds(count, fold))
        everybody = parts(split)
        assert sorted(itertools.chain(*everybody)) == sorted(labels)
        tested += everybody[2]
    assert sorted(tested) == sorted(labels)


def test_other_seeds_deal_the_same_blocks_otherwise() -> None:
    labels = {f"P{n}": n % 2 for n in range(60)}
    blocks = deal_blocks(labels, "north", 5)
    split = {
        frozenset(split_blocks(cohort_of(labels), blocks, 0.2, seed, Folds(3, 0)).test.patients())
        for seed in range(5)
    }
    assert len(split) == 5


def test_too_few_patients_are_refused_without_a_count() -> None:
    labels = {f"P{n}": n % 2 for n in range(9)}
    with pytest.raises(PolicyError, match="1 blocks of 9 or more") as caught:
        split_blocks(cohort_of(labels), deal_blocks(labels, "north", 5), 0.2, 0, Folds())
    assert "9" not in caught.value.shareable
    assert "least-difference" in caught.value.shareable
