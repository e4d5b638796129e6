"""From the ledger to what the next round trains, or to the run's end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.federation.global_model import Reference
from server.results.signals import Signals, UnitSignals
from server.run.ledger import RoundRecord, SiteRound, as_line, parse_round, planned_rounds
from server.schedule.adaptive import Stretch, next_plan, stretches
from server.schedule.policy import policy_for
from shared.model.resnet import MICRO
from shared.protocol.plan import plan_to_values
from shared.settings.config import RunConfig
from shared.settings.schedule import allows, may_end, stages_ever_thawed, total_rounds

PART = SiteRound(
    images=8, patients=8, steps=1, loss=0.5, train_seconds=1.0, evaluate_seconds=1.0,
    peak_memory_bytes=1, continued_from=0, metrics={},
)  # fmt: skip


def config_of(**changes: Any) -> RunConfig:
    small: dict[str, Any] = {"backbone": "micro", "schedule": "adaptive", "patience": 3}
    return RunConfig(**(small | {"probe_rounds": 4, "rounds": 20} | changes))


BOTH = ("east", "north")


def run(
    config: RunConfig,
    losses: Sequence[float | None],
    sites: Mapping[int, Sequence[str]] = MappingProxyType({}),
) -> list[RoundRecord]:
    """The ledger of a run whose rounds evaluate to these losses; the last one holds on.

    `sites` are those of some rounds, which else have both.
    """
    records: list[RoundRecord] = []
    while (plan := next_plan(config, records)) is not None:
        loss = losses[min(len(records), len(losses) - 1)]
        units = {unit: UnitSignals(0.1, 0.1) for unit in MICRO.units_of(plan.trainable)}
        records.append(
            RoundRecord(
                round=plan.round, plan=plan_to_values(plan), refused={}, attempts=1,
                sites=dict.fromkeys(sites.get(plan.round, BOTH), PART),
                loss=0.5, validation={}, bytes_down=1, bytes_up=1, bytes_full_exchange=1,
                seconds=1.0, wait_seconds=1.0, signals=Signals(units, 0.5, loss),
            )
        )  # fmt: skip
    return records


def expected_rounds(config: RunConfig, losses: Sequence[float]) -> int:
    """How many rounds a run has, by a slow loop over stretches, written from the documentation."""
    tuned, means = 0, []
    while tuned + config.patience < config.rounds:
        first = config.probe_rounds + tuned
        # The models after all rounds of the stretch but the last, which the next round evaluates.
        of = losses[first + 1 : first + config.patience]
        means.append(sum(of) / len(of))
        tuned += config.patience
        if len(means) > 1 and means[-1] >= means[-2] and tuned + config.patience < config.rounds:
            return config.probe_rounds + tuned + config.patience
    return config.probe_rounds + config.rounds


@settings(max_examples=25, deadline=None)
@given(
    patience=st.integers(2, 5), probe_rounds=st.integers(0, 5), rounds=st.integers(1, 24),
    losses=st.lists(st.integers(1, 64).map(lambda n: n / 64), min_size=36, max_size=36),
)  # fmt: skip
def test_a_run_goes_as_documented_and_its_ledger_decides_alike(
    patience: int, probe_rounds: int, rounds: int, losses: list[float]
) -> None:
    config = config_of(patience=patience, probe_rounds=probe_rounds, rounds=rounds)
    records = run(config, losses)
    assert len(records) == expected_rounds(config, losses)
    read = [parse_round(as_line(record)) for record in records]
    for number in range(1, len(read) + 1):
        plan = next_plan(config, read[: number - 1])
        assert plan is not None
        assert plan_to_values(plan) == records[number - 1].plan
        assert allows(config, plan, {})
        assert (plan.phase == "probe") == (number <= probe_rounds)
    assert next_plan(config, read) is None
    assert may_end(config, len(read), stages_ever_thawed(config, len(read)))


def test_the_policy_looks_at_the_rounds_before_alone(reference: Reference) -> None:
    config = config_of()
    records, policy = run(config, [0.5]), policy_for(config, reference)
    for number in (1, 7, 10, 13):
        plan = policy(number, records)
        assert plan is not None
        assert plan_to_values(plan) == records[number - 1].plan
    assert policy(14, records) is None


def test_a_run_that_gains_nothing_is_cut_short_after_two_stretches() -> None:
    records = run(config_of(), [0.5])
    cycles = [(one.plan["position"], one.plan["length"]) for one in records[4:]]
    # At the peak of its cycle after 6 rounds of 20; two fifths of a shorter one are as far.
    assert cycles == [(n, 20) for n in range(6)] + [(2, 5), (3, 5), (4, 5)]


def test_a_run_that_always_gains_takes_all_rounds() -> None:
    config = config_of()
    records = run(config, [1 - n / 100 for n in range(40)])
    assert len(records) == total_rounds(config)
    assert {record.plan["length"] for record in records[4:]} == {20}


def test_one_bad_round_among_good_ones_does_not_end_a_run_that_gains() -> None:
    falling = [1 - n / 50 for n in range(40)]
    falling[8] += 0.03  # of two that are compared: their mean still is below that of those before
    assert len(run(config_of(), falling)) == total_rounds(config_of())


@pytest.mark.parametrize("losses", [[None], [None, 0.5, None]])
def test_without_validation_patients_a_run_goes_on(losses: list[float | None]) -> None:
    """Nothing says that it should not: the settings' rounds are its limit, as elsewhere."""
    config = config_of()
    assert len(run(config, losses)) == total_rounds(config)


def test_other_patients_are_not_compared() -> None:
    """A hospital that leaves or joins makes the loss another one, whatever the model does."""
    falling = [1 - n / 100 for n in range(40)]
    # Rounds 5 to 10 are the first two stretches; south joins for good, and its patients are harder.
    joins = dict.fromkeys(range(8, 30), (*BOTH, "south"))
    harder = [loss + 0.5 * (number in joins) for number, loss in enumerate(falling, 1)]
    assert len(run(config_of(), harder, joins)) == total_rounds(config_of())
    # What it hides is found: the rounds of both stretches in which both hospitals were there.
    away = {9: ("north",)}
    alike = [0.5] * 8 + [0.1] + [0.5] * 30
    assert len(run(config_of(), alike, away)) == 13


def test_what_was_compared_can_be_shown() -> None:
    config = config_of(patience=3)
    losses = [0.875] * 5 + [0.75, 0.75, 0.625, 0.5, 0.5]
    records = run(config, losses)
    assert len(records) == 16
    first, second = stretches(config, records)
    assert first == Stretch(8, 10, 0.5, 0.75, cut=False)
    assert second == Stretch(11, 13, 0.5, 0.5, cut=True)
    assert stretches(config, records[:10]) == []
    assert [planned_rounds(config, records[:n]) for n in (0, 4, 13, 14, 16)] == [24, 24, 24, 16, 16]


def test_whether_two_stretches_could_be_compared_does_not_depend_on_what_is_shown() -> None:
    """South is there from round 8 on, so the first two stretches have no round alike."""
    config = config_of(patience=3)
    joins = dict.fromkeys(range(8, 30), (*BOTH, "south"))
    hidden = run(config, [None], joins)
    assert [one.comparable for one in stretches(config, hidden)][:2] == [False, True]
    assert all(one.loss is None for one in stretches(config, hidden))


@pytest.mark.parametrize(
    ("weights", "chance", "rounds"),
    [("random", None, 13), ("random", 0.51, 13), ("random", 0.5, 24), ("random", 0.49, 24),
     ("xrv", 0.49, 13)],
)  # fmt: skip
def test_a_network_that_has_learned_nothing_from_nothing_goes_on(
    weights: str, chance: float | None, rounds: int
) -> None:
    config = config_of(weights=weights)
    records: list[RoundRecord] = []
    while (plan := next_plan(config, records)) is not None:
        (record,) = run(config, [0.5])[:1]
        signals = Signals({}, 0.5, 0.5, chance)
        records.append(
            replace(record, round=plan.round, plan=plan_to_values(plan), signals=signals)
        )
    assert len(records) == rounds
    decided = stretches(config, [parse_round(as_line(record)) for record in records])
    assert [one.has_learned for one in decided] == [rounds == 13] * len(decided)
    assert [one.cut for one in decided] == ([True] if rounds == 13 else [False] * 4)
