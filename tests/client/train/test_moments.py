from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from client.train.optimizer import read_moments, restore_moments

Parameters = dict[str, nn.Parameter]


def fresh(seed: int = 0) -> Parameters:
    generator = torch.Generator().manual_seed(seed)
    return {
        "layer4.weight": nn.Parameter(torch.randn(3, 2, generator=generator)),
        "fc.weight": nn.Parameter(torch.randn(4, generator=generator)),
    }


def train(optimizer: AdamW | SGD, parameters: Parameters, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for parameter in parameters.values():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()


def test_training_goes_on_as_if_never_interrupted() -> None:
    whole = fresh()
    train(AdamW(whole.values(), lr=0.1), whole, range(6))

    first = fresh()
    optimizer = AdamW(first.values(), lr=0.1)
    train(optimizer, first, range(3))
    moments = read_moments(optimizer, first)
    second = {name: nn.Parameter(value.detach().clone()) for name, value in first.items()}
    continued = AdamW(second.values(), lr=0.1)
    restore_moments(continued, second, moments)
    train(continued, second, range(3, 6))
    for name, expected in whole.items():
        assert torch.equal(second[name], expected)
    assert set(moments) == {
        f"{moment}/{name}" for moment in ("step", "exp_avg", "exp_avg_sq") for name in whole
    }


def test_a_stage_without_moments_begins_afresh() -> None:
    head = {"fc.weight": fresh()["fc.weight"]}
    optimizer = AdamW(head.values(), lr=0.1)
    train(optimizer, head, range(3))
    both = fresh()
    restored = AdamW(both.values(), lr=0.1)
    restore_moments(restored, both, read_moments(optimizer, head))
    assert both["layer4.weight"] not in restored.state
    assert restored.state[both["fc.weight"]]["step"] == 3
    train(restored, both, range(3, 4))
    # Adam's first step is the rate times the sign of the gradient, whatever its size.
    moved = fresh()["layer4.weight"] * (1 - 0.1 * 1e-2) - both["layer4.weight"]
    assert moved.abs().flatten().tolist() == pytest.approx([0.1] * 6, rel=1e-4)


def test_moments_of_parameters_that_do_not_train_are_left_aside() -> None:
    both = fresh()
    optimizer = AdamW(both.values(), lr=0.1)
    train(optimizer, both, range(2))
    moments = read_moments(optimizer, both)
    head = {"fc.weight": fresh()["fc.weight"]}
    restored = AdamW(head.values(), lr=0.1)
    restore_moments(restored, head, moments)
    assert list(restored.state) == [head["fc.weight"]]


def test_what_is_read_and_restored_are_copies() -> None:
    parameters = fresh()
    optimizer = AdamW(parameters.values(), lr=0.1)
    train(optimizer, parameters, range(1))
    moments = read_moments(optimizer, parameters)
    kept = {key: value.clone() for key, value in moments.items()}
    again = fresh()
    restored = AdamW(again.values(), lr=0.1)
    restore_moments(restored, again, moments)
    train(optimizer, parameters, range(1, 3))
    train(restored, again, range(1, 3))
    assert all(torch.equal(moments[key], kept[key]) for key in kept)


def test_plain_sgd_has_none() -> None:
    parameters = fresh()
    optimizer = SGD(parameters.values(), lr=0.1)
    train(optimizer, parameters, range(2))
    assert read_moments(optimizer, parameters) == {}
