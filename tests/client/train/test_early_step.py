"""The optimiser's step inside the backward pass, beside one after it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch

from client.data.dataset import Sample
from client.train import step
from client.train.early_step import stepping_in_backward
from client.train.trainer import train_round
from shared.model.network import Network
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round


@pytest.mark.parametrize(
    ("optimizer", "mu"), [("adamw", 0.0), ("sgd", 0.0), ("adamw", 0.5), ("adamw8bit", 0.0)]
)
def test_the_model_and_its_moments_are_the_same_bits(
    make_samples: Callable[[int], list[Sample]], make_model: Callable[..., Network],
    micro_config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch,
    optimizer: str, mu: float,
) -> None:  # fmt: skip
    """With the recompute that takes it, against the exact activations that do not."""
    calls = []

    def noted(of: torch.optim.Optimizer) -> object:
        calls.append(of)
        return stepping_in_backward(of)

    monkeypatch.setattr(step, "stepping_in_backward", noted)
    samples, model = make_samples(11), make_model()
    found = []
    for activations in ("exact", "recompute"):
        config = micro_config(
            optimizer=optimizer, activations=activations,
            strategy="fedprox" if mu else "fedavg", proximal_mu=mu,
        )  # fmt: skip
        trained = copy.deepcopy(model)
        assert len(calls) == 0
        result = train_round(
            trained, samples, plan_round(config, 2), config, stream="north", moments={}
        )
        found.append((trained.state_dict(), result.moments, result.loss))
    assert len(calls) > 0
    (exact, moments, loss), (early, early_moments, early_loss) = found
    assert loss == early_loss
    assert moments.keys() == early_moments.keys()
    assert all(torch.equal(exact[key], early[key]) for key in exact)
    assert all(torch.equal(moments[key], early_moments[key]) for key in moments)
    assert not any(torch.equal(exact[k], v) for k, v in model.state_dict().items() if "fc" in k)


def test_no_two_gradients_are_held_at_a_time() -> None:
    layers = torch.nn.Sequential(*[torch.nn.Linear(4, 4) for _ in range(5)])
    optimizer = torch.optim.SGD(layers.parameters(), lr=0.1)
    held: list[int] = []
    for parameter in layers.parameters():
        parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
            lambda _: held.append(sum(p.grad is not None for p in layers.parameters()))
        )
    with stepping_in_backward(optimizer):
        layers(torch.randn(3, 4)).sum().backward()
    assert held == [1] * 10
    assert all(parameter.grad is None for parameter in layers.parameters())
    layers(torch.randn(3, 4)).sum().backward()
    assert all(parameter.grad is not None for parameter in layers.parameters())
