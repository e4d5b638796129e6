"""How far updates agree, against a slow loop over pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.aggregation.agreement import Agreement
from shared.wire.arrays import Arrays

UNIT_OF = {"a.weight": "a", "a.more": "a", "b.weight": "b"}
SHAPES = {"a.weight": (3, 4), "a.more": (2, 2), "b.weight": (5, 1)}


def updates_of(count: int, seed: int) -> dict[str, Arrays]:
    rng = np.random.default_rng(seed)
    return {
        f"site{n}": {
            key: (rng.normal(size=shape) * rng.uniform(0.1, 3)).astype(np.float32)
            for key, shape in {**SHAPES, "passed.over": (2,)}.items()
        }
        for n in range(count)
    }


def measured(updates: dict[str, Arrays], weights: dict[str, int]) -> dict[str, float | None]:
    agreement = Agreement(SHAPES, UNIT_OF)
    for site, update in updates.items():
        agreement.add(site, update, weights[site])
    return agreement.result()


@given(st.integers(2, 6), st.integers(0, 99), st.data())
def test_it_is_the_mean_over_all_pairs(count: int, seed: int, data: st.DataObject) -> None:
    updates = updates_of(count, seed)
    weights = {site: data.draw(st.integers(1, 300)) for site in updates}
    found = measured(updates, weights)
    for unit in ("a", "b"):
        flat = {
            site: np.concatenate([u[k].ravel() for k, own in UNIT_OF.items() if own == unit])
            for site, u in updates.items()
        }
        products = most = 0.0
        for one, other in itertools.permutations(flat, 2):
            weight = float(weights[one] * weights[other])
            products += weight * float(flat[one].astype(float) @ flat[other].astype(float))
            most += weight * float((flat[one] ** 2).sum() + (flat[other] ** 2).sum()) / 2
        # The updates are added in float32; beside a weight of 300 one of 1 has few digits left.
        assert found[unit] == pytest.approx(products / most, abs=1e-4)
    backwards = dict(reversed(updates.items()))
    assert measured(backwards, weights) == found  # to the last bit


def test_what_is_alike_opposite_and_unrelated() -> None:
    (update,) = updates_of(1, 0).values()
    against: Arrays = {key: -value for key, value in update.items()}
    alike = measured(dict.fromkeys("xyz", update), {"x": 5, "y": 1, "z": 9})
    assert alike == {"a": pytest.approx(1, abs=1e-6), "b": pytest.approx(1, abs=1e-6)}
    opposite = measured({"x": update, "y": against}, {"x": 7, "y": 2})
    assert opposite["a"] == pytest.approx(-1, abs=1e-6)
    unrelated = [measured(updates_of(4, seed), dict.fromkeys(
        (f"site{n}" for n in range(4)), 10))["a"] for seed in range(200)]  # fmt: skip
    assert np.mean([value or 0.0 for value in unrelated]) == pytest.approx(0, abs=0.03)


def test_without_a_pair_there_is_none() -> None:
    (update,) = updates_of(1, 0).values()
    nothing: Arrays = {key: np.zeros_like(value) for key, value in update.items()}
    assert measured({"x": update}, {"x": 3}) == {"a": None, "b": None}
    assert measured({}, {}) == {"a": None, "b": None}
    assert measured({"x": nothing, "y": nothing}, {"x": 1, "y": 1})["a"] is None


def test_what_was_added_before_the_beginning_does_not_count() -> None:
    agreement = Agreement(SHAPES, UNIT_OF)
    first, second, third = updates_of(3, 5).values()
    agreement.add("z", third, 4)
    agreement.begin()
    agreement.add("x", first, 1)
    agreement.add("y", second, 2)
    assert agreement.result() == measured({"x": first, "y": second}, {"x": 1, "y": 2})
