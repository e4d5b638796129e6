"""What is plausible of an update: its variances, its size, its size beside the others'."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from server.aggregation.screen import NEGLIGIBLE, Reach, Screen, Sizes, group_of
from shared.model.resnet import MICRO
from shared.wire.arrays import Arrays

SHAPES = {
    "layer4.0.conv1.weight": (8, 4, 3, 3),
    "layer4.0.bn1.weight": (8,),
    "layer4.0.bn1.running_mean": (8,),
    "layer4.0.bn1.running_var": (8,),
    "fc.weight": (1, 8),
    "fc.bias": (1,),
}
RATES = {"layer4": 5e-4, "head": 1e-3}


def received(seed: int = 0) -> Arrays:
    generator = np.random.default_rng(seed)
    arrays = {k: generator.normal(0, 0.1, s).astype(np.float32) for k, s in SHAPES.items()}
    arrays["layer4.0.bn1.running_var"] = generator.uniform(0.5, 2, 8).astype(np.float32)
    return arrays


def screen(*, adaptive: bool = True, factor: float = 10.0) -> Screen:
    return Screen.of(received().items(), Reach(RATES, adaptive), factor, MICRO)


def update(scale: float, seed: int = 1) -> Arrays:
    generator = np.random.default_rng(seed)
    return {k: (scale * generator.uniform(0.5, 1, s)).astype(np.float32) for k, s in SHAPES.items()}


def test_a_fitted_head_is_bounded_by_its_penalty() -> None:
    """Of 50 images with c = 2: sqrt(2 ln 2 * 2 * 50) = 11.77 is its longest norm, from zero."""
    fitted = Screen.of(received().items(), Reach({"head": 0.0}, True, fitted=2.0), 10.0, MICRO)
    before, longest = float(np.abs(received()["fc.bias"][0])), 11.774100
    still = {key: np.zeros_like(value) for key, value in received().items()}
    for bias, plausible in ((before + longest - 1e-3, True), (before + longest + 1e-3, False)):
        sizes = fitted.measure(still | {"fc.bias": np.array([bias], np.float32)}, 50)
        assert (sizes.problem is None) is plausible
    spread = longest / math.sqrt(MICRO.features)
    before = float(np.sqrt(np.mean(received()["fc.weight"] ** 2)))
    for weight, plausible in ((before + spread - 1e-3, True), (before + spread + 1e-3, False)):
        sizes = fitted.measure(still | {"fc.weight": np.full((1, 8), weight, np.float32)}, 50)
        assert (sizes.problem is None) is plausible


def test_groups() -> None:
    assert {key: group_of(MICRO, key, shape) for key, shape in SHAPES.items()} == {
        "layer4.0.conv1.weight": ("layer4", "weights"),
        "layer4.0.bn1.weight": ("layer4", "vectors"),
        "layer4.0.bn1.running_mean": ("layer4", "means"),
        "layer4.0.bn1.running_var": ("layer4", "variances"),
        "fc.weight": ("head", "weights"),
        "fc.bias": ("head", "vectors"),
    }


def test_sizes_are_root_mean_squares() -> None:
    arrays = update(1e-4)
    sizes = screen().measure(arrays, 10)
    assert sizes.problem is None
    for key, array in arrays.items():
        expected = math.sqrt(float(np.mean(array.astype(np.float64) ** 2)))
        assert sizes.change[group_of(MICRO, key, array.shape)] == pytest.approx(expected)


@pytest.mark.parametrize("scale", [1e15, 1e6, 10.0])
@pytest.mark.parametrize("key", list(SHAPES))
def test_absurd_sizes_are_refused_whoever_else_takes_part(key: str, scale: float) -> None:
    if key.endswith(("running_mean", "running_var")) and scale < 1e6:
        return
    arrays = update(1e-4) | {key: np.full(SHAPES[key], scale, np.float32)}
    problem = screen().measure(arrays, 10).problem
    assert problem is not None
    assert "is plausible in one round" in problem


def test_a_negative_variance_is_refused_and_named() -> None:
    arrays = update(1e-4)
    arrays["layer4.0.bn1.running_var"][3] = -2.5
    sizes = screen().measure(arrays, 10)
    assert sizes.beyond_repair
    assert sizes.problem == (
        "its update makes layer4.0.bn1.running_var negative, and a variance cannot be"
    )
    arrays["layer4.0.bn1.running_var"] = -received()["layer4.0.bn1.running_var"]  # just zero
    assert screen().measure(arrays, 10).problem is None


@given(
    gradients=st.lists(
        st.floats(-1e3, 1e3, width=32).filter(lambda g: abs(g) > 1e-3), min_size=1, max_size=40
    ),
    beta=st.sampled_from([0.85, 0.9, 0.95]),
)
def test_no_steps_of_adamw_go_farther_than_is_plausible(
    gradients: list[float], beta: float
) -> None:
    """Torch's own optimiser, with whatever gradients, moments kept from before."""
    weights = received()["fc.weight"]
    parameter = torch.nn.Parameter(torch.from_numpy(weights.copy()))
    optimizer = torch.optim.AdamW([parameter], lr=RATES["head"], weight_decay=1e-4)
    for gradient in gradients:
        optimizer.param_groups[0]["betas"] = (beta, 0.999)
        parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
    half = len(gradients) // 2
    before = parameter.detach().clone()
    for gradient in gradients[half:]:  # a second round
        parameter.grad = torch.full_like(parameter, -gradient)
        optimizer.step()
    change = (parameter.detach() - before).numpy()
    steps = len(gradients) - half
    assert screen().measure(update(0.0) | {"fc.weight": change}, steps).problem is None


FACTORS = st.floats(2, 50)


@given(
    spread=st.lists(st.floats(0.02, 1.0), min_size=3, max_size=8),
    factor=FACTORS,
    steps=st.lists(st.integers(1, 500), min_size=8, max_size=8),
)
def test_no_honest_update_within_the_factor_stands_out(
    spread: list[float], factor: float, steps: list[int]
) -> None:
    """Every site's change is within the factor of every other's, for each step it takes."""
    low, high = min(spread), max(spread)
    assume(high / low <= factor)
    sizes, taken = {}, {}
    for number, scale in enumerate(spread):
        taken[f"s{number}"] = steps[number]
        own = {key: array * steps[number] for key, array in update(1e-5 * scale, seed=3).items()}
        sizes[f"s{number}"] = screen().measure(own, steps[number])
    for site in sizes:
        _, ratio = screen(factor=factor).stands_out(site, sizes, taken)
        assert ratio <= factor * 1.000001


@given(factor=FACTORS, sites=st.integers(3, 9), times=st.floats(1.01, 1e6))
def test_one_that_is_larger_stands_out_and_nobody_else_does(
    factor: float, sites: int, times: float
) -> None:
    usual = NEGLIGIBLE * 2
    one = screen(factor=factor)
    group = ("layer4", "weights")
    honest = Sizes({group: usual * one.before[group]})
    liar = Sizes({group: usual * one.before[group] * factor * times})
    sizes = {f"s{n}": honest for n in range(sites - 1)} | {"liar": liar}
    steps = dict.fromkeys(sizes, 10)
    assert one.stands_out("liar", sizes, steps)[1] > factor
    assert all(one.stands_out(f"s{n}", sizes, steps)[1] <= 1.01 for n in range(sites - 1))


def test_noise_is_not_compared_with_noise() -> None:
    """A site that still learns a little where the others have learnt all."""
    one = screen()
    steps = dict.fromkeys("abc", 10)
    sizes = {name: one.measure(update(1e-12), 10) for name in "ab"}
    sizes["c"] = one.measure(update(1e-4), 10)
    assert one.stands_out("c", sizes, steps)[1] < 1


def test_statistics_may_differ_more() -> None:
    one = screen()
    steps = dict.fromkeys("abc", 10)
    change = {("layer4", "means"): 0.01, ("layer4", "variances"): 0.02}
    far = {group: 60 * size for group, size in change.items()}
    sizes = {"a": Sizes(change), "b": Sizes(change), "c": Sizes(far)}
    assert one.stands_out("c", sizes, steps)[1] <= one.factor
    wide = {group: 200 * size for group, size in change.items()}
    sizes["c"] = Sizes(wide)
    assert one.stands_out("c", sizes, steps)[1] > one.factor


def test_plain_sgd_has_a_bound_too() -> None:
    one = dataclasses.replace(screen(adaptive=False))
    assert one.measure(update(1.0), 10).problem is None
    assert one.measure(update(1e4), 10).problem is not None
