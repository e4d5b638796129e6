from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.model.between import between, mean_with

Deltas = list[dict[str, NDArray[np.float32]]]


def deltas(seed: int, count: int) -> Deltas:
    """Models of which later ones have thawed more."""
    rng = np.random.default_rng(seed)
    shapes = {"head": (3,), "layer4": (2, 2)}
    return [
        {n: rng.normal(size=s).astype(np.float32) for n, s in list(shapes.items())[: 1 + (k > 1)]}
        for k in range(count)
    ]


@settings(max_examples=30)
@given(st.integers(0, 99), st.floats(0, 1))
def test_a_point_between(seed: int, share: float) -> None:
    start, end = deltas(seed, 1)[0], deltas(seed + 1, 3)[2]
    found = between(start, end, share)
    assert list(found) == ["head", "layer4"]
    assert found["head"] == pytest.approx(
        (1 - share) * start["head"] + share * end["head"], 1e-5, 1e-6
    )
    assert found["layer4"] == pytest.approx(share * end["layer4"], 1e-5, 1e-6)
    assert all(array.dtype == np.float32 for array in found.values())


def test_both_ends_are_the_models_themselves_bit_for_bit() -> None:
    start, end = (
        {"head": np.array([1e8, 3.0], np.float32)},
        {"head": np.array([1.0, 0.1], np.float32)},
    )
    for share, model in ((0.0, start), (1.0, end)):
        found = between(start, end, share)["head"]
        assert found.tobytes() == model["head"].tobytes()
        assert found is not model["head"]


@settings(max_examples=30)
@given(st.integers(0, 99), st.integers(1, 6))
def test_the_mean_of_models_one_after_the_other(seed: int, count: int) -> None:
    models = deltas(seed, count)
    mean: dict[str, NDArray[np.float32]] = {}
    for counted, model in enumerate(models):
        mean = mean_with(mean, counted, model)
    for name in models[-1]:
        whole = [model.get(name, np.zeros_like(models[-1][name])) for model in models]
        assert mean[name] == pytest.approx(np.mean(whole, axis=0), 1e-4, 1e-6)
