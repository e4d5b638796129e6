"""Which plans `schedule=adaptive` allows, whatever training shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.model.resnet import MICRO
from shared.settings.adaptive import possible_places, thawing_stages, typical_place
from shared.settings.config import RunConfig
from shared.settings.schedule import (
    Plan,
    allows,
    may_end,
    plan_of_place,
    plan_round,
    stages_ever_thawed,
    total_rounds,
)

SIZES = dict.fromkeys((unit.name for unit in MICRO.units), 1)


def config_of(**changes: object) -> RunConfig:
    small: dict[str, object] = {"backbone": "micro", "schedule": "adaptive", "end": "guarded"}
    return RunConfig(**(small | changes))  # type: ignore[arg-type]


def walks(config: RunConfig) -> Iterator[list[tuple[int, int, bool]]]:
    """Every way that a run may go, as (stages, position, probing) a round: by a slow recursion.

    At the end of each stretch it may go on with the same, thaw the next stage, or end.
    """
    most = len(thawing_stages(config))

    def tune(path: list[tuple[int, int, bool]], tuned: int, stages: int) -> Iterator[list]:  # type: ignore[type-arg]
        left = config.rounds - tuned
        length = min(config.patience, left)
        path = [*path, *((stages, position, False) for position in range(length))]
        yield path
        if left > length:
            yield from tune(path, tuned + length, stages)
            if stages < most:
                yield from tune(path, tuned + length, stages + 1)

    probed = 0
    while True:
        ended = probed == config.probe_rounds
        whole = probed >= 2 * config.patience and probed % config.patience == 0
        if ended or whole:
            probe = [(0, position, True) for position in range(probed)]
            if config.rounds:
                yield from tune(probe, 0, 1)
            else:
                yield probe
        if ended:
            return
        probed += 1


@settings(max_examples=12, deadline=None)
@given(
    patience=st.integers(2, 4), probe_rounds=st.integers(0, 7), rounds=st.integers(1, 8),
    thaw_at=st.sampled_from(["0.1,0.3,0.6", "0", "layer4=0.1,layer3=0.2"]),
)  # fmt: skip
def test_a_site_allows_the_plans_of_all_runs_and_no_others(
    patience: int, probe_rounds: int, rounds: int, thaw_at: str
) -> None:
    config = config_of(patience=patience, probe_rounds=probe_rounds, rounds=rounds, thaw_at=thaw_at)
    stages = thawing_stages(config)
    seen: dict[int, set[tuple[object, ...]]] = {}
    ends: set[tuple[int, tuple[str, ...]]] = set()
    for path in walks(config):
        for number, (trains, position, probing) in enumerate(path, start=1):
            before = path[number - 2][0] if number > 1 else 0
            seen.setdefault(number, set()).add((trains, position, probing, before))
        if not path[-1][2]:
            parts = (*stages[: path[-1][0]], "head")
            ends.add((len(path), MICRO.parts_of(MICRO.units_of(parts))))
    for number in range(1, total_rounds(config) + 1):
        places = set(possible_places(config, number))
        found = {(one.stages, one.position, one.probing, one.thawed) for one in places}
        assert found == seen[number]
        assert all(allows(config, plan_of_place(config, number, one), SIZES) for one in places)
        assert typical_place(config, number) in places
        assert plan_round(config, number) == plan_of_place(
            config, number, typical_place(config, number)
        )
        for count in range(len(stages) + 1):
            thawed = MICRO.parts_of(MICRO.units_of((*stages[:count], "head")))
            assert may_end(config, number, thawed) == ((number, thawed) in ends)
    assert not list(possible_places(config, total_rounds(config) + 1))
    assert (total_rounds(config), stages_ever_thawed(config, total_rounds(config))) in ends


def departing(plan: Plan) -> Iterator[Plan]:
    yield replace(plan, round=plan.round + 1)
    yield replace(plan, position=plan.position + 1)
    yield replace(plan, length=plan.length + 1)
    yield replace(plan, rates={part: 2 * rate for part, rate in plan.rates.items()})
    yield replace(plan, cutmix_probability=1.0)
    yield replace(plan, trainable=("layer2", *plan.trainable), rates={**plan.rates, "layer2": 0.1})
    yield replace(plan, thawed=("layer3", "head"))


@pytest.mark.parametrize("number", [1, 9, 10, 30])
def test_a_plan_that_departs_is_not_allowed(number: int) -> None:
    config = config_of(thaw_at="layer4=0.1,layer3=0.2")
    plan = plan_round(config, number)
    assert allows(config, plan, SIZES)
    refused = [other for other in departing(plan) if not allows(config, other, SIZES)]
    departures = [other for other in departing(plan) if other != plan]
    # A round later may be a round of the same stretch after a shorter probe, and so on: few are.
    assert len(departures) - len(refused) <= 2
    assert all(other in refused for other in departures if "layer2" in other.trainable)
    assert all(other in refused for other in departures if other.cutmix_probability == 1.0)
    assert all(other in refused for other in departures if other.rates != plan.rates)
