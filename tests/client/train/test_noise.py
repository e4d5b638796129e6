"""Signal to noise by Adam's moments, against loops over single numbers and over gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torch.utils._python_dispatch import TorchDispatchMode

from client.data.dataset import Sample
from client.train.noise import signal_to_noise
from client.train.optimizer import read_moments, restore_moments
from client.train.trainer import train_round
from shared.model.network import Network
from shared.model.resnet import MICRO
from shared.protocol.train import MOST_SIGNAL_TO_NOISE
from shared.settings.config import RunConfig
from shared.settings.rates import noise_alone, one_cycle
from shared.settings.schedule import plan_of_units

Parameters = dict[str, nn.Parameter]
KEYS = ("layer4.0.conv1.weight", "layer4.0.bn1.bias", "fc.weight", "fc.bias")
"""Two parameters of one unit, and the head's."""


def parameters_of(*shapes: tuple[int, ...]) -> Parameters:
    return {k: nn.Parameter(torch.zeros(s)) for k, s in zip(KEYS, shapes, strict=False)}


def train(optimizer: AdamW | SGD, parameters: Parameters, steps: range, mean: float = 0.0) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for parameter in parameters.values():
            parameter.grad = mean + torch.randn(parameter.shape, generator=generator)
        optimizer.step()


def by_hand(moments: dict[str, Tensor], beta_1: float, beta_2: float) -> dict[str, float]:
    """A number at a time, from moments as they are kept."""
    sums: dict[str, list[float]] = {}
    for key, value in moments.items():
        moment, _, name = key.partition("/")
        if moment != "exp_avg":
            continue
        steps = moments[f"step/{name}"].item()
        signal, power = sums.setdefault(MICRO.unit_of(name).name, [0.0, 0.0])
        for m, v in zip(
            value.flatten().tolist(),
            moments[f"exp_avg_sq/{name}"].flatten().tolist(),
            strict=True,
        ):
            signal += (m / (1 - beta_1**steps)) ** 2
            power += v / (1 - beta_2**steps)
        sums[MICRO.unit_of(name).name] = [signal, power]
    return {unit: signal / power for unit, (signal, power) in sums.items()}


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("steps", [1, 7, 60])
def test_against_a_loop_over_every_number(fused: bool, steps: int) -> None:
    parameters = parameters_of((3, 2, 2, 2), (3,), (1, 5), (1,))
    optimizer = AdamW(parameters.values(), lr=1e-3, betas=(0.87, 0.98), fused=fused)
    train(optimizer, parameters, range(steps), mean=0.3)
    found = signal_to_noise(optimizer, parameters, MICRO)
    assert found.keys() == {"layer4.0", "head"}
    expected = by_hand(read_moments(optimizer, parameters), 0.87, 0.98)
    assert found == pytest.approx(expected, rel=0.05)
    assert all(value == float(f"{value:.2g}") for value in found.values())


def test_each_parameter_by_its_own_steps_and_group() -> None:
    """The head has trained longer, and under another beta 1."""
    head = {"fc.weight": nn.Parameter(torch.zeros(1, 50))}
    optimizer = AdamW(head.values(), lr=1e-3)
    train(optimizer, head, range(30), mean=0.5)
    both = {**parameters_of((10, 2, 2, 2)), **head}
    groups = [
        {"params": [both[KEYS[0]]], "betas": (0.85, 0.999)},
        {"params": [both["fc.weight"]], "betas": (0.95, 0.999)},
    ]
    continued = AdamW(groups, lr=1e-3)
    restore_moments(continued, both, read_moments(optimizer, head))
    train(continued, both, range(30, 34), mean=0.5)
    moments = read_moments(continued, both)
    assert moments["step/fc.weight"].item() == 34
    assert moments[f"step/{KEYS[0]}"].item() == 4
    found = signal_to_noise(continued, both, MICRO)
    assert found["layer4.0"] == pytest.approx(by_hand(moments, 0.85, 0.999)["layer4.0"], rel=0.05)
    assert found["head"] == pytest.approx(by_hand(moments, 0.95, 0.999)["head"], rel=0.05)


def test_moments_that_go_on_give_what_they_would_have_without_a_pause() -> None:
    whole = parameters_of((4, 2, 2, 2), (4,))
    optimizer = AdamW(whole.values(), lr=1e-3)
    train(optimizer, whole, range(9), mean=0.2)
    first = parameters_of((4, 2, 2, 2), (4,))
    begun = AdamW(first.values(), lr=1e-3)
    train(begun, first, range(5), mean=0.2)
    second = copy.deepcopy(first)
    continued = AdamW(second.values(), lr=1e-3)
    restore_moments(continued, second, read_moments(begun, first))
    train(continued, second, range(5, 9), mean=0.2)
    assert signal_to_noise(continued, second, MICRO) == signal_to_noise(optimizer, whole, MICRO)


@pytest.mark.parametrize("beta_1", [0.85, 0.9, 0.95])
@pytest.mark.parametrize("steps", [3, 10, 200])
def test_what_gradients_of_noise_alone_give(beta_1: float, steps: int) -> None:
    """(1 - beta 1) / (1 + beta 1) after many steps; about one over their number after few."""
    parameters = parameters_of((100, 10, 10, 10))
    optimizer = AdamW(parameters.values(), lr=0.0, betas=(beta_1, 0.999))
    train(optimizer, parameters, range(steps))
    found = signal_to_noise(optimizer, parameters, MICRO)["layer4.0"]
    weights = [beta_1 ** (steps - 1 - n) for n in range(steps)]
    assert found == pytest.approx(sum(w**2 for w in weights) / sum(weights) ** 2, rel=0.06)
    if steps == 200:
        assert found == pytest.approx(noise_alone(beta_1), rel=0.06)
    if steps == 3:
        assert found == pytest.approx(1 / steps, rel=0.06)


def test_the_levels_that_are_written_of_chance() -> None:
    assert [round(noise_alone(b), 3) for b in (0.9, 0.95, 0.85)] == [0.053, 0.026, 0.081]


def test_gradients_that_are_alike_give_one_and_none_gives_nothing() -> None:
    parameters = parameters_of((2, 2, 2, 2), (2,), (1, 3))
    optimizer = AdamW(parameters.values(), lr=1e-3)
    assert signal_to_noise(optimizer, parameters, MICRO) == {}
    for _ in range(50):
        for name, parameter in parameters.items():
            parameter.grad = torch.full(parameter.shape, 0.0 if name == "fc.weight" else -0.3)
        optimizer.step()
    assert signal_to_noise(optimizer, parameters, MICRO) == {"layer4.0": 1.0, "head": 0.0}
    plain = SGD(parameters.values(), lr=1e-3)
    train(plain, parameters, range(2))
    assert signal_to_noise(plain, parameters, MICRO) == {}


GRADIENTS = st.floats(-(2.0**50), 2.0**50, width=32)


@given(st.lists(st.tuples(GRADIENTS, GRADIENTS), min_size=1, max_size=40), st.integers(1, 60))
def test_no_gradients_give_more_than_the_protocol_takes(
    gradients: list[tuple[float, float]], length: int
) -> None:
    """Whatever comes, at whatever place of the cycle of beta 1."""
    parameters = parameters_of((1, 2))
    optimizer = AdamW(parameters.values(), lr=0.0, fused=True)
    total = max(length, len(gradients))
    for step, both in enumerate(gradients):
        optimizer.param_groups[0]["betas"] = (one_cycle(step, total).momentum, 0.999)
        parameters[KEYS[0]].grad = torch.tensor([both])
        optimizer.step()
        found = signal_to_noise(optimizer, parameters, MICRO)["layer4.0"]
        assert 0 <= found <= MOST_SIGNAL_TO_NOISE


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The most numbers in the storage of a tensor that is not one of these."""

    def __init__(self, known: Iterator[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known, self.most = {one.untyped_storage().data_ptr() for one in known}, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:  # fmt: skip
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, list | tuple) else [result]:
            if isinstance(one, Tensor) and one.untyped_storage().data_ptr() not in self.known:
                self.most = max(self.most, one.numel())
        return result


def test_the_moments_are_neither_copied_nor_changed() -> None:
    parameters = parameters_of((1500, 1000, 1, 1))
    optimizer = AdamW(parameters.values(), lr=1e-3)
    train(optimizer, parameters, range(2))
    before = read_moments(optimizer, parameters)
    state = optimizer.state[parameters[KEYS[0]]]
    with Largest(iter(state.values())) as seen:
        signal_to_noise(optimizer, parameters, MICRO)
    assert 0 < seen.most <= 2**20 < 1500 * 1000
    after = read_moments(optimizer, parameters)
    assert all(torch.equal(after[key], value) for key, value in before.items())


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({"schedule": "dynamics"}, True),
        ({"schedule": "adaptive"}, True),
        ({"schedule": "dynamics", "optimizer": "sgd"}, False),
        ({"schedule": "full"}, False),
    ],
)
def test_a_round_has_it_of_the_units_that_trained_where_it_is_asked_for(
    make_samples: Callable[[int], list[Sample]], make_model: Callable[..., Network],
    micro_config: Callable[..., RunConfig], changes: dict[str, Any], asked: bool,
) -> None:  # fmt: skip
    config = micro_config(probe_rounds=1, rounds=4, thaw_at="layer4=0", batch_size=3, **changes)
    plan = plan_of_units(config, 2, {"layer4.0", "head"}, {"head"})
    model, samples = make_model(), make_samples(12)
    trained = train_round(model, samples, plan, config, stream="north", moments={})
    if not asked:
        assert trained.signal_to_noise == {}
        return
    last = one_cycle(trained.steps - 1, 4 * trained.steps).momentum
    expected = by_hand(trained.moments, last, 0.999)
    assert expected.keys() == {"layer4.0", "head"}
    assert dict(trained.signal_to_noise) == pytest.approx(expected, rel=0.05)
