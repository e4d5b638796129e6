from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from client.train.optimizer import build_optimizer, set_rates
from shared.model.registry import backbone_of
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan, plan_round, total_rounds

STAGES = backbone_of("micro").stages


def parameters_of(plan: Plan) -> dict[str, list[nn.Parameter]]:
    return {stage: [nn.Parameter(torch.zeros(2))] for stage in plan.trainable}


def optimizer_of(config: RunConfig, round_number: int) -> tuple[Optimizer, Plan]:
    plan = plan_round(config, round_number)
    return build_optimizer(parameters_of(plan), plan, config), plan


@pytest.mark.parametrize("schedule", ["progressive", "full"])
def test_a_group_a_stage_and_every_parameter_once(
    micro_config: Callable[..., RunConfig], schedule: str
) -> None:
    config = micro_config(schedule=schedule)
    for round_number in range(1, total_rounds(config) + 1):
        plan = plan_round(config, round_number)
        parameters = parameters_of(plan)
        groups = build_optimizer(parameters, plan, config).param_groups
        assert [group["part"] for group in groups] == list(plan.trainable)
        for group in groups:
            (expected,) = parameters[group["part"]]
            assert len(group["params"]) == 1
            assert group["params"][0] is expected


@pytest.mark.parametrize("optimizer", ["adamw", "adamw8bit", "sgd"])
def test_the_head_decays_less_in_fine_tuning_only(
    micro_config: Callable[..., RunConfig], optimizer: str
) -> None:
    config = micro_config(schedule="full", optimizer=optimizer)
    probe, _ = optimizer_of(config, 1)
    assert [group["weight_decay"] for group in probe.param_groups] == [1e-4]
    fine_tuning, plan = optimizer_of(config, 2)
    assert plan.trainable == STAGES
    decays = {group["part"]: group["weight_decay"] for group in fine_tuning.param_groups}
    assert decays.pop("head") == 1e-5
    assert set(decays.values()) == {1e-4}
    assert isinstance(fine_tuning, AdamW) == (optimizer == "adamw")


@pytest.mark.parametrize(("steps", "rounds"), [(1, 5), (3, 4), (7, 3), (2, 1)])
def test_rates_and_momentum_equal_one_cycle_over_all_rounds(
    micro_config: Callable[..., RunConfig], steps: int, rounds: int
) -> None:
    """torch's scheduler runs in one piece; the site starts over in every round."""
    config = micro_config(rounds=rounds, probe_rounds=2, thaw_at="0.0,0.3,0.6")
    maxima = {"layer2": 1e-4, "layer3": 2.5e-4, "layer4": 5e-4, "head": 1e-3}
    whole = AdamW([{"params": [nn.Parameter(torch.zeros(1))], "lr": m} for m in maxima.values()])
    scheduler = OneCycleLR(whole, max_lr=list(maxima.values()), total_steps=steps * rounds)
    seen = set()
    for round_number in range(3, total_rounds(config) + 1):
        optimizer, plan = optimizer_of(config, round_number)
        for step in range(steps):
            set_rates(optimizer, plan, config, step, steps)
            reference = dict(zip(maxima, whole.param_groups, strict=True))
            for group in optimizer.param_groups:
                expected = reference[group["part"]]
                assert group["lr"] == pytest.approx(expected["lr"], rel=1e-9)
                assert group["betas"] == pytest.approx(expected["betas"], rel=1e-9)
                seen.add(group["part"])
            whole.step()
            if (round_number, step) != (total_rounds(config), steps - 1):
                scheduler.step()
    assert {"layer4", "head"} <= seen


def test_the_only_step_of_a_run_has_the_maximum(micro_config: Callable[..., RunConfig]) -> None:
    config = micro_config(rounds=1, probe_rounds=1, schedule="full")
    optimizer, plan = optimizer_of(config, 2)
    set_rates(optimizer, plan, config, 0, 1)
    assert {group["part"]: group["lr"] for group in optimizer.param_groups} == plan.rates


def test_the_probe_keeps_its_rate_and_momentum(micro_config: Callable[..., RunConfig]) -> None:
    config = micro_config(probe_rounds=3, lr_probe=2e-3)
    for round_number in (1, 2, 3):
        optimizer, plan = optimizer_of(config, round_number)
        for step in range(4):
            set_rates(optimizer, plan, config, step, 4)
            (group,) = optimizer.param_groups
            assert group["lr"] == 2e-3
            assert group["betas"] == (0.9, 0.999)


def test_a_constant_rate_is_the_maximum(micro_config: Callable[..., RunConfig]) -> None:
    config = micro_config(rate_policy="constant", schedule="full")
    optimizer, plan = optimizer_of(config, 3)
    set_rates(optimizer, plan, config, 2, 5)
    assert {group["part"]: group["lr"] for group in optimizer.param_groups} == plan.rates


def test_plain_sgd_follows_the_rates_without_momentum(
    micro_config: Callable[..., RunConfig],
) -> None:
    config = micro_config(optimizer="sgd", schedule="full", rounds=10)
    optimizer, plan = optimizer_of(config, 4)
    set_rates(optimizer, plan, config, 0, 1)
    assert all(group["momentum"] == 0 for group in optimizer.param_groups)
    # Round 4 is step 2 of 10: the peak of the warm-up.
    assert {group["part"]: group["lr"] for group in optimizer.param_groups} == plan.rates
    set_rates(optimizer, plan_round(config, 11), config, 0, 1)
    assert all(
        group["lr"] == pytest.approx(plan.rates[group["part"]] / 250_000)
        for group in optimizer.param_groups
    )
