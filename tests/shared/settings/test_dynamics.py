"""`schedule=dynamics`: what the settings alone say of it, and which plans they allow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.registry import backbone_of
from shared.settings.config import RunConfig
from shared.settings.dynamics import Budget, candidates, most_units, typical_units
from shared.settings.schedule import (
    Plan,
    allows,
    expected_plan,
    plan_of_units,
    plan_round,
    stages_ever_thawed,
    total_rounds,
    trains_body,
)

UNITS = tuple(unit.name for unit in backbone_of("resnet50").units)
SIZES = {name: 10 * (place + 1) for place, name in enumerate(UNITS)} | {"head": 1}
TOTAL = sum(SIZES.values())


def config_of(**changes: Any) -> RunConfig:
    return RunConfig(**({"schedule": "dynamics"} | changes))


@pytest.mark.parametrize(
    ("rate", "most"), [(0.0, 16), (0.5, 8), (0.8, 4), (0.9, 2), (0.99, 1), (0.93, 2)]
)
def test_the_freeze_rate_leaves_so_many_units(rate: float, most: int) -> None:
    config = config_of(freeze_rate=rate)
    assert candidates(config) == UNITS[1:-1]
    assert most_units(config) == most
    assert len(set(typical_units(config))) == most


def test_a_typical_round_is_spread_over_the_network() -> None:
    assert typical_units(config_of()) == ("layer1.2", "layer2.3", "layer3.3", "layer4.1")


@given(st.floats(0, 0.99), st.floats(0, 1), st.integers(1, 30))
def test_the_plan_of_an_estimate_is_one_that_the_settings_allow(
    rate: float, share: float, number: int
) -> None:
    """And it wastes nothing: no further unit would fit."""
    config = config_of(freeze_rate=rate, round_budget=share)
    plan = expected_plan(config, number, SIZES)
    assert allows(config, plan, SIZES)
    if number > config.probe_rounds:
        trained = config.network.units_of(plan.trainable) - {"head"}
        others = set(candidates(config)) - trained
        budget = Budget.of(config, SIZES)
        assert not any(budget.admits({*trained, one}, SIZES) for one in others)


def test_before_the_probe_ends_all_is_as_ever() -> None:
    config = config_of()
    for number in range(1, 11):
        assert plan_round(config, number) == plan_round(RunConfig(), number)
    assert stages_ever_thawed(config, 10) == ("head",)
    assert stages_ever_thawed(config, 11) == ("layer1", "layer2", "layer3", "layer4", "head")
    assert trains_body(config)


chosen = st.sets(st.sampled_from(UNITS[1:-1]), max_size=16)


@given(chosen, chosen, st.integers(11, 30), st.floats(0, 0.99), st.floats(0, 1))
def test_a_plan_is_allowed_where_it_keeps_to_the_budget(
    units: set[str], before: set[str], number: int, rate: float, share: float
) -> None:
    config = config_of(freeze_rate=rate, round_budget=share)
    plan = plan_of_units(config, number, {*units, "head"}, before)
    held = 1 + sum(SIZES[unit] for unit in units)
    within = len(units) <= most_units(config) and held <= round(share * TOTAL, 9)
    assert allows(config, plan, SIZES) == (within or not units)
    assert plan.rates.keys() == set(plan.trainable)
    assert plan.rates["head"] == 1e-3
    assert not allows(replace(config, rate_policy="constant", rounds=19), plan, SIZES)


PLAN = plan_of_units(config_of(), 15, {"layer2.1", "layer4.0", "head"}, {"layer2.1"})


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, rates={**PLAN.rates, "head": 1.0}),
        replace(PLAN, rates={**PLAN.rates, "layer2.1": 1e-3}),
        replace(PLAN, cutmix_probability=0.0),
        replace(PLAN, position=5),
        replace(PLAN, length=21),
        replace(PLAN, phase="probe"),
        replace(PLAN, round=9),
        replace(PLAN, round=31),
        replace(PLAN, thawed=("stem", "layer2.1", "head")),
        replace(PLAN, thawed=("layer2.1",)),
        plan_of_units(config_of(), 15, {"layer2.1", "layer4.0"}, ()),
        plan_of_units(config_of(), 15, {"stem", "head"}, ()),
        plan_of_units(config_of(), 15, {*UNITS[1:6], "head"}, ()),
        plan_of_units(config_of(), 10, {"layer4.0", "head"}, ()),
    ],
)
def test_what_departs_from_the_settings_is_not_allowed(plan: Plan) -> None:
    assert allows(config_of(), PLAN, SIZES)
    assert not allows(config_of(), plan, SIZES)


def test_of_other_schedules_one_plan_is_allowed() -> None:
    config = RunConfig()
    for number in range(1, total_rounds(config) + 1):
        assert allows(config, plan_round(config, number), SIZES)
    assert not allows(config, PLAN, SIZES)
    assert not allows(config, replace(plan_round(config, 30), round=31), SIZES)


def test_a_rate_is_that_of_the_units_stage() -> None:
    plan = plan_of_units(config_of(), 15, {*UNITS[1:], "head"}, ())
    assert plan.rates == {
        "layer1": 1e-4, "layer2": 1e-4, "layer3": 2.5e-4, "layer4": 5e-4, "head": 1e-3,
    }  # fmt: skip
    assert PLAN.rates == {"layer2.1": 1e-4, "layer4.0": 5e-4, "head": 1e-3}


def test_the_head_alone_always_fits() -> None:
    budget = Budget.of(config_of(round_budget=0.0), SIZES)
    assert budget.admits((), SIZES)
    assert not budget.admits(("layer1.0",), SIZES)
