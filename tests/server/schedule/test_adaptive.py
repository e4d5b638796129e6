"""From the ledger to what the next round trains, or to the run's end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.federation.global_model import Reference
from server.results.signals import Signals, UnitSignals
from server.run.ledger import RoundRecord, as_line, parse_round
from server.schedule.adaptive import next_place
from server.schedule.policy import changed_parts, policy_for
from shared.model.resnet import MICRO
from shared.protocol.plan import plan_to_values
from shared.settings.config import RunConfig
from shared.settings.schedule import allows, may_end, plan_of_place, total_rounds

BACKWARDS = ("layer4", "layer3", "layer2")


def config_of(**changes: Any) -> RunConfig:
    small: dict[str, Any] = {"backbone": "micro", "schedule": "adaptive", "patience": 3}
    return RunConfig(**(small | {"probe_rounds": 10, "rounds": 12} | changes))


def run(config: RunConfig, losses: Sequence[float | None]) -> list[RoundRecord]:
    """The ledger of a run whose rounds evaluate to these losses; the last one holds on."""
    records: list[RoundRecord] = []
    while (place := next_place(config, records)) is not None:
        number, loss = len(records) + 1, losses[min(len(records), len(losses) - 1)]
        plan = plan_of_place(config, number, place)
        units = {unit: UnitSignals(0.1, 0.1) for unit in MICRO.units_of(plan.trainable)}
        records.append(
            RoundRecord(
                round=number, plan=plan_to_values(plan), sites={}, refused={}, attempts=1,
                loss=0.5, validation={}, bytes_down=1, bytes_up=1, bytes_full_exchange=1,
                seconds=1.0, wait_seconds=1.0, signals=Signals(units, 0.5, loss),
            )
        )  # fmt: skip
    return records


def trained(records: Sequence[RoundRecord]) -> str:
    """How many stages before the head each round trains, a digit a round."""
    return "".join(str(len(record.plan["trainable"]) - 1) for record in records)


def expected(config: RunConfig, losses: Sequence[float]) -> str:
    """The same by a slow loop over stretches, written from the documentation."""

    def loss(first: int, rounds: int) -> float:
        """Of a stretch: the models after all its rounds but the last, which nobody evaluated."""
        of = losses[first + rounds - config.patience + 1 : first + rounds]
        return sum(of) / len(of)

    digits, last = "", None
    while len(digits) < config.probe_rounds:
        length = min(config.patience, config.probe_rounds - len(digits))
        digits += "0" * length
        if len(digits) >= config.patience:
            now = loss(len(digits) - length, length)
            if last is not None and now >= last and length == config.patience:
                last = now
                break
            last = now
    stages, tuned = 1, 0
    while tuned < config.rounds:
        length = min(config.patience, config.rounds - tuned)
        digits += str(stages) * length
        tuned += length
        now = loss(len(digits) - length, length)
        stages += last is not None and now >= last
        last = now
        if stages > len(BACKWARDS):
            break
    return digits


@settings(max_examples=25, deadline=None)
@given(
    patience=st.integers(2, 5), probe_rounds=st.integers(5, 12), rounds=st.integers(1, 24),
    losses=st.lists(st.integers(1, 64).map(lambda n: n / 64), min_size=36, max_size=36),
)  # fmt: skip
def test_a_run_goes_as_documented_and_its_ledger_decides_alike(
    patience: int, probe_rounds: int, rounds: int, losses: list[float]
) -> None:
    config = config_of(patience=patience, probe_rounds=probe_rounds, rounds=rounds)
    records = run(config, losses)
    assert trained(records) == expected(config, losses)
    read = [parse_round(as_line(record)) for record in records]
    ever = {"head"}
    for number in range(1, len(read) + 1):
        place = next_place(config, read[: number - 1])
        assert place is not None
        plan = plan_of_place(config, number, place)
        assert plan_to_values(plan) == records[number - 1].plan
        assert allows(config, plan, {})
        assert MICRO.units_of(plan.thawed) == ever
        ever |= MICRO.units_of(plan.trainable)
    assert next_place(config, read) is None
    assert may_end(config, len(read), changed_parts(config, read))
    assert MICRO.units_of(changed_parts(config, read)) == ever


def test_the_policy_looks_at_the_rounds_before_alone(reference: Reference) -> None:
    config = config_of()
    records, policy = run(config, [0.5]), policy_for(config, reference)
    for number in (1, 7, 10, 15):
        plan = policy(number, records)
        assert plan is not None
        assert plan_to_values(plan) == records[number - 1].plan
    assert policy(16, records) is None


def test_a_run_that_never_gains_takes_the_fewest_rounds() -> None:
    records = run(config_of(), [0.5])
    assert trained(records) == "000000" + "111" + "222" + "333"
    positions = [(one.plan["position"], one.plan["length"]) for one in records[6:]]
    assert positions == [(0, 3), (1, 3), (2, 3)] * 3


def test_a_run_that_always_gains_takes_all_rounds_and_thaws_one_stage() -> None:
    config = config_of()
    records = run(config, [1 - n / 100 for n in range(40)])
    assert trained(records) == "0" * 10 + "1" * 12
    assert len(records) == total_rounds(config)


def test_one_bad_round_among_good_ones_does_not_end_a_stretch_that_gains() -> None:
    falling = [1 - n / 50 for n in range(40)]
    falling[7] += 0.03  # of the last stretch's two: their mean still is below that of those before
    assert trained(run(config_of(), falling)).count("0") == 10


@pytest.mark.parametrize("losses", [[None], [None, 0.5, None]])
def test_without_validation_patients_a_run_goes_on(losses: list[float | None]) -> None:
    """Nothing says that it should not: the settings' rounds are its limit, as elsewhere."""
    config = config_of()
    assert len(run(config, losses)) == total_rounds(config)
