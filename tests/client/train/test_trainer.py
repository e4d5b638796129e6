from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from client.data.dataset import Sample, batch_positions, draw_epoch
from client.train import step
from client.train.trainer import Trained, train_round
from shared.errors import FedThawError
from shared.model.backbone import Part
from shared.model.network import Network
from shared.seeds import derive_seed
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round

MakeSamples = Callable[[int], list[Sample]]
MakeModel = Callable[..., Network]
MakeConfig = Callable[..., RunConfig]


def run(
    model: Network,
    samples: list[Sample],
    config: RunConfig,
    round_number: int = 2,
    stream: str = "north",
    moments: dict[str, Tensor] | None = None,
) -> tuple[dict[str, Tensor], Trained]:
    trained = copy.deepcopy(model)
    plan = plan_round(config, round_number)
    result = train_round(trained, samples, plan, config, stream=stream, moments=moments or {})
    state: dict[str, Tensor] = trained.state_dict()
    return state, result


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


def test_the_same_seed_gives_the_same_bytes(
    make_samples: MakeSamples, make_model: MakeModel, micro_config: MakeConfig
) -> None:
    """With the whole recipe: balanced draws, augmentation, CutMix, dropout."""
    samples, model = make_samples(11), make_model(dropout=0.3)
    config = micro_config(local_epochs=2, dropout=0.3)
    torch.manual_seed(1)
    first, one = run(model, samples, config)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    second, two = run(model, samples, config)
    assert equal(first, second)
    assert one.loss == two.loss
    assert equal(one.moments, two.moments)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("change", ["site", "seed", "round"])
def test_site_seed_and_round_each_give_another_order(
    make_samples: MakeSamples, make_model: MakeModel, plain_config: MakeConfig, change: str
) -> None:
    samples, model = make_samples(12), make_model()
    # Rounds of one phase at a constant rate differ in nothing but the order of their images.
    config = plain_config(batch_size=4, rate_policy="constant", probe_rounds=3)
    reference, _ = run(model, samples, config, 1)
    other, _ = run(
        model,
        samples,
        replace(config, seed=1) if change == "seed" else config,
        round_number=2 if change == "round" else 1,
        stream="south" if change == "site" else "north",
    )
    assert not torch.equal(reference["fc.weight"], other["fc.weight"])


@pytest.mark.parametrize("draw", ["dropout", "cutmix", "augmentation", "balance"])
def test_each_part_of_the_recipe_has_an_effect(
    make_samples: MakeSamples, make_model: MakeModel, plain_config: MakeConfig, draw: str
) -> None:
    samples = make_samples(12)
    changes: dict[str, dict[str, Any]] = {
        "dropout": {"dropout": 0.5},
        "cutmix": {"cutmix_probability": 1.0},
        "augmentation": {"augmentation": "recipe"},
        "balance": {"sampling": "balanced"},
    }
    plain, _ = run(make_model(), samples, plain_config())
    other, _ = run(make_model(dropout=0.5 if draw == "dropout" else 0.0), samples,
                   plain_config(**changes[draw]))  # fmt: skip
    assert not torch.equal(plain["fc.weight"], other["fc.weight"])


def test_probe_rounds_never_mix(
    make_samples: MakeSamples, make_model: MakeModel, plain_config: MakeConfig
) -> None:
    samples, model = make_samples(6), make_model()
    mixing, _ = run(model, samples, plain_config(cutmix_probability=1.0), 1)
    plain, _ = run(model, samples, plain_config(), 1)
    assert equal(mixing, plain)


def test_loss_and_steps_are_those_of_the_images_seen(
    make_samples: MakeSamples, make_model: MakeModel, plain_config: MakeConfig
) -> None:
    """At rate 0 nothing moves, so the loss is that of the model received."""
    samples, model = make_samples(9), make_model()
    config = plain_config(batch_size=4, local_epochs=3, lr_probe=0.0, proximal_mu=5.0)
    steps = []
    plan = plan_round(config, 1)
    trained = copy.deepcopy(model)
    result = train_round(
        trained, samples, plan, config, stream="n", moments={}, on_step=lambda: steps.append(1)
    )
    assert result.steps == len(steps) == 6
    images = torch.stack([sample.load() for sample in samples])
    labels = torch.tensor([float(sample.radiograph.label) for sample in samples])
    expected = binary_cross_entropy_with_logits(model.eval()(images), labels)
    assert result.loss == pytest.approx(expected.item(), rel=1e-5)
    # The head's AdamW has counted the steps, although it did not move.
    assert result.moments["step/fc.weight"] == 6
    assert equal({k: v for k, v in trained.state_dict().items() if "fc" in k},
                 {k: v for k, v in model.state_dict().items() if "fc" in k})  # fmt: skip


def oracle_of_proximal_sgd(
    model: Network, samples: list[Sample], config: RunConfig
) -> dict[str, Tensor]:
    """Plain gradient steps of the head, with mu (w - received) added by hand."""
    model = copy.deepcopy(model).eval()
    head = [model.head_layer.weight, model.head_layer.bias]
    received = [parameter.detach().clone() for parameter in head]
    labels = [sample.radiograph.label for sample in samples]
    seed = derive_seed(config.seed, "north", 1, "epoch", 0)
    order = [draw.sample for draw in draw_epoch(labels, balanced=False, seed=seed)]
    for batch in batch_positions(len(samples), config.batch_size):
        chosen = [order[position] for position in batch]
        images = torch.stack([samples[index].load() for index in chosen])
        targets = torch.tensor([float(labels[index]) for index in chosen])
        loss = binary_cross_entropy_with_logits(model(images), targets)
        gradients = torch.autograd.grad(loss, head)
        with torch.no_grad():
            for parameter, gradient, start in zip(head, gradients, received, strict=True):
                pull = config.proximal_mu * (parameter - start)
                decay = config.weight_decay * parameter
                parameter.sub_(config.lr_probe * (gradient + pull + decay))
    state: dict[str, Tensor] = model.state_dict()
    return state


@pytest.mark.parametrize("mu", [0.0, 3.0])
def test_the_proximal_term_pulls_to_the_received_weights(
    make_samples: MakeSamples, make_model: MakeModel, plain_config: MakeConfig, mu: float
) -> None:
    samples, model = make_samples(12), make_model()
    config = plain_config(batch_size=3, optimizer="sgd", lr_probe=0.1, proximal_mu=mu)
    expected = oracle_of_proximal_sgd(model, samples, config)
    state, _ = run(model, samples, config, 1)
    torch.testing.assert_close(state, expected, rtol=1e-4, atol=1e-6)
    free, _ = run(model, samples, replace(config, proximal_mu=0.0), 1)
    start = model.state_dict()["fc.weight"]
    if mu:
        assert (state["fc.weight"] - start).norm() < 0.9 * (free["fc.weight"] - start).norm()


def test_moments_of_the_round_before_are_gone_on_with(
    make_samples: MakeSamples, make_model: MakeModel, plain_config: MakeConfig
) -> None:
    samples, model, config = make_samples(8), make_model(), plain_config(batch_size=4)
    _, first = run(model, samples, config, 2)
    afresh, _ = run(model, samples, config, 3)
    continued, second = run(model, samples, config, 3, moments=first.moments)
    assert not torch.equal(afresh["fc.weight"], continued["fc.weight"])
    assert second.moments["step/fc.weight"] == 4
    # layer3 has thawed in round 3 and counts from its own beginning.
    assert second.moments["step/layer3.0.conv1.weight"] == 2


def test_a_loss_that_is_not_finite_is_a_sentence(
    make_samples: MakeSamples, make_model: MakeModel, plain_config: MakeConfig
) -> None:
    model = make_model()
    with torch.no_grad():
        model.head_layer.weight.fill_(3e38)
    with pytest.raises(FedThawError, match=r"The loss became .* in round 2; lower") as caught:
        run(model, make_samples(6), plain_config())
    assert caught.value.shareable == "its loss is no longer finite; lower the run's learning rates"


def test_frozen_units_see_a_few_images_at_a_time_where_memory_counts(
    make_samples: MakeSamples,
    make_model: MakeModel,
    micro_config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The weights are those of all at once, but for how a convolution of fewer images rounds."""
    samples, model = make_samples(7), make_model()
    config = micro_config(activations="recompute", precision="float32")
    whole, _ = run(model, samples, config)
    monkeypatch.setattr(step, "MOST_FROZEN", 3 * samples[0].load().numel())
    seen: list[int] = []
    between = Network.between

    def noted(network: Network, x: Tensor, start: Part, stop: Part) -> Tensor:
        seen.append(len(x))
        return between(network, x, start, stop)

    monkeypatch.setattr(Network, "between", noted)
    few, _ = run(model, samples, config)
    for name, weight in whole.items():
        torch.testing.assert_close(few[name], weight, rtol=1e-3, atol=2e-5)
    assert max(seen) == 3
    assert sum(seen) == 7 * config.local_epochs
