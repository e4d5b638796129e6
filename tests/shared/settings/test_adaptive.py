"""Which plans `schedule=adaptive` allows, whatever training shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.model.resnet import MICRO
from shared.settings.config import RunConfig
from shared.settings.rates import one_cycle
from shared.settings.schedule import (
    Plan,
    allows,
    may_end,
    plan_round,
    stages_ever_thawed,
    total_rounds,
)

SIZES = dict.fromkeys((unit.name for unit in MICRO.units), 1)


def config_of(**changes: object) -> RunConfig:
    small: dict[str, object] = {"backbone": "micro", "schedule": "adaptive", "end": "guarded"}
    return RunConfig(**(small | changes))  # type: ignore[arg-type]


def cut_short(config: RunConfig) -> Iterator[list[tuple[int, int]]]:
    """Each way that fine-tuning may go, as (position, length) a round, by counting."""
    whole = [(position, config.rounds) for position in range(config.rounds)]
    yield whole
    for done in range(1, config.rounds):
        stretches, within = divmod(done, config.patience)
        if within or stretches < 2 or config.rounds - done <= config.patience:
            continue
        length = config.patience  # the shortest cycle that is no less far after the cut
        while Fraction(length - config.patience, length) < Fraction(done, config.rounds):
            length += 1
        yield whole[:done] + [(length - left, length) for left in range(config.patience, 0, -1)]


@settings(max_examples=15, deadline=None)
@given(
    patience=st.integers(2, 4), probe_rounds=st.integers(0, 4), rounds=st.integers(1, 20),
    thaw_at=st.sampled_from(["0.1,0.3,0.6", "0", "layer4=0.1,layer3=0.2"]),
)  # fmt: skip
def test_a_site_allows_the_plans_of_all_runs_and_no_others(
    patience: int, probe_rounds: int, rounds: int, thaw_at: str
) -> None:
    config = config_of(patience=patience, probe_rounds=probe_rounds, rounds=rounds, thaw_at=thaw_at)
    seen: dict[int, set[tuple[int, int]]] = {}
    ends: set[int] = set()
    for way in cut_short(config):
        ends.add(probe_rounds + len(way))
        for number, place in enumerate(way, start=probe_rounds + 1):
            seen.setdefault(number, set()).add(place)
            assert one_cycle(*place).share <= 1
        # A run of one round and one step has the peak instead.
        assert one_cycle(*way[-1]).share < 1e-5 or way == [(0, 1)]
    for number in range(1, total_rounds(config) + 1):
        usual = plan_round(config, number)
        found = {
            (position, length)
            for length in range(1, rounds + 2)
            for position in range(length)
            if allows(config, replace(usual, position=position, length=length), SIZES)
        }
        expected = seen[number] if number > probe_rounds else {(number - 1, probe_rounds)}
        assert found == {place for place in expected if place[1] <= rounds + 1}
        thawed = stages_ever_thawed(config, number)
        assert may_end(config, number, thawed) == (number in ends)
        assert not may_end(config, number, ("head",))


def test_the_stages_of_thaw_at_train_together() -> None:
    config = config_of(thaw_at="layer4=0.1,layer3=0.2")
    probe, first, second = (plan_round(config, number) for number in (10, 11, 12))
    assert (probe.trainable, first.trainable) == (("head",), ("layer3", "layer4", "head"))
    assert (first.thawed, second.thawed) == (("head",), ("layer3", "layer4", "head"))


def departing(plan: Plan) -> Iterator[Plan]:
    yield replace(plan, round=plan.round + 1)
    yield replace(plan, position=plan.position + 1)
    yield replace(plan, length=plan.length + 1)
    yield replace(plan, rates={part: 2 * rate for part, rate in plan.rates.items()})
    yield replace(plan, cutmix_probability=1.0)
    yield replace(plan, trainable=("layer2", *plan.trainable), rates={**plan.rates, "layer2": 0.1})
    yield replace(plan, thawed=("layer2", "head"))


@pytest.mark.parametrize("number", [1, 10, 11, 17, 30])
def test_a_plan_that_departs_is_not_allowed(number: int) -> None:
    config = config_of(thaw_at="layer4=0.1,layer3=0.2", patience=3)
    plan = plan_round(config, number)
    cut = replace(plan, position=2, length=5)  # 3 of 5 rounds are left, of 20 there were 14
    assert allows(config, cut, SIZES) == (number == 17)
    for one in (plan, cut) if number == 17 else (plan,):
        assert allows(config, one, SIZES)
        assert not [other for other in departing(one) if allows(config, other, SIZES)]
