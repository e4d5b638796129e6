"""From the ledger to the next plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.federation.global_model import Reference
from server.results.signals import Signals, UnitSignals
from server.run.ledger import RoundRecord, as_line, parse_round
from server.schedule.policy import past_of, policy_for
from server.schedule.select import Seen
from shared.model.manifest import sizes_of_units
from shared.model.resnet import MICRO
from shared.protocol.plan import plan_to_values
from shared.settings.config import RunConfig
from shared.settings.schedule import allows, plan_round, total_rounds

MakeRecord = Callable[..., RoundRecord]
UNITS = ("layer1.0", "layer2.0", "layer3.0", "layer4.0")


def config_of(**changes: Any) -> RunConfig:
    small: dict[str, Any] = {"backbone": "micro", "schedule": "dynamics", "freeze_rate": 0.5}
    return RunConfig(**(small | {"probe_rounds": 2, "rounds": 9} | changes))


def run(config: RunConfig, reference: Reference, make_record: MakeRecord) -> list[RoundRecord]:
    """The ledger of a run in which the units behind others move more, and agree more."""
    policy, records = policy_for(config, reference), list[RoundRecord]()
    for number in range(1, total_rounds(config) + 1):
        plan = policy(number, records)
        assert plan is not None
        units = {
            unit: UnitSignals(0.1 / number * (MICRO.position(unit) + 1), MICRO.position(unit) / 10)
            for unit in MICRO.units_of(plan.trainable)
        }
        records.append(
            replace(
                make_record(number),
                round=number,
                plan=plan_to_values(plan),
                signals=Signals(units, 0.5),
            )
        )
    return records


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rule=st.sampled_from(["distance", "coherence", "round-robin", "random"]),
    rate=st.sampled_from([0.0, 0.3, 0.5, 0.99]),
    share=st.sampled_from([0.1, 0.3, 0.8, 1.0]),
    seed=st.integers(0, 5),
    batch_norm=st.sampled_from(["average", "frozen"]),
)
def test_a_run_keeps_to_its_settings_and_its_ledger_decides_alike(
    reference: Reference, make_record: MakeRecord, rule: str, rate: float, share: float,
    seed: int, batch_norm: str,
) -> None:  # fmt: skip
    config = config_of(
        select=rule, freeze_rate=rate, round_budget=share, seed=seed, batch_norm=batch_norm
    )
    records = run(config, reference, make_record)
    policy = policy_for(config, reference)
    sizes = sizes_of_units(reference.network, batch_norm)
    read = [parse_round(as_line(record)) for record in records]
    ever = {"head"}
    for number in range(1, len(read) + 1):
        plan = policy(number, read[: number - 1])
        assert plan is not None
        assert plan_to_values(plan) == records[number - 1].plan
        assert policy(number, read) == plan  # later rounds do not matter
        assert allows(config, plan, sizes)
        assert MICRO.units_of(plan.thawed) == ever
        ever |= MICRO.units_of(plan.trainable)
    assert [record.plan for record in records[:2]] == [
        plan_to_values(plan_round(config, number)) for number in (1, 2)
    ]


def test_the_past_is_what_each_unit_showed_last(
    reference: Reference, make_record: MakeRecord
) -> None:
    config = config_of(select="round-robin")
    records = run(config, reference, make_record)[:5]
    past = past_of(config, [*records[:4], replace(records[4], signals=None)])
    assert past["head"] == Seen(5, None, None)
    assert past["layer1.0"] == Seen(4, 0.1 / 4 * 2, 0.1)
    assert past["layer4.0"].round == 5


def test_other_schedules_look_at_the_round_alone(
    reference: Reference, make_record: MakeRecord
) -> None:
    config = config_of(schedule="progressive")
    policy = policy_for(config, reference)
    for number in range(1, 12):
        for history in ([], [make_record(1)]):
            assert policy(number, history) == plan_round(config, number)
