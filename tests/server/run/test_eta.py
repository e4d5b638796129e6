"""The time that a run still takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.run.eta import Expected, unmeasured
from server.terminal.rough import time_in_words
from shared.model.manifest import sizes_of_units
from shared.model.network import build_network
from shared.settings.config import RunConfig
from shared.settings.dynamics import expected_units

COSTS = st.lists(st.floats(0.01, 1e4), min_size=2, max_size=12).map(tuple)


@given(COSTS, st.data(), st.floats(0.01, 100))
def test_a_run_as_fast_as_expected_ends_as_expected(
    costs: tuple[float, ...], data: st.DataObject, unit: float
) -> None:
    """In seconds where it was measured; else in whatever unit, once a round is finished."""
    done = data.draw(st.integers(0, len(costs) - 1))
    rest = sum(costs[done:])
    assert Expected(costs, measured=True).seconds_left(costs[:done]) == pytest.approx(rest)
    if done:
        took = [unit * cost for cost in costs[:done]]
        assert Expected(costs).seconds_left(took) == pytest.approx(unit * rest)


def test_rounds_that_take_twice_as_long_double_the_rest() -> None:
    expected = Expected((10.0,) * 21, measured=True)
    left = [expected.seconds_left([20.0] * done) for done in (0, 1, 5, 10)]
    assert left == [
        210.0,
        pytest.approx(300.0),
        pytest.approx(293.33, abs=0.1),
        pytest.approx(201.67, abs=0.1),
    ]


def test_cheap_rounds_say_little_of_dear_ones() -> None:
    """The head alone on cached activations: a busy second there is no hour later."""
    expected = Expected((0.1, 0.1, 60.0, 60.0, 1.0), measured=True)
    assert expected.seconds_left([1.0, 1.0]) == pytest.approx(121.0, rel=0.1)


def test_only_the_last_rounds_correct_the_others() -> None:
    costs = (1.0,) * 20
    assert Expected(costs).seconds_left([100.0] * 5 + [2.0] * 5) == pytest.approx(20.0)


def test_the_last_round_leaves_the_final_evaluation() -> None:
    assert Expected((1.0, 1.0, 0.5)).seconds_left([4.0, 4.0]) == pytest.approx(2.0)


def test_a_run_that_is_cut_short_leaves_the_rounds_until_then() -> None:
    expected = Expected((1.0, 1.0, 5.0, 5.0, 5.0, 0.5), measured=True)
    assert expected.seconds_left([1.0, 1.0], last=3) == pytest.approx(5.5)
    assert expected.seconds_left([1.0, 1.0], last=5) == expected.seconds_left([1.0, 1.0])
    assert expected.seconds_left([1.0, 1.0, 5.0], last=3) == pytest.approx(0.5)


def test_what_is_not_measured_follows_the_schedule(
    micro_config: Callable[..., RunConfig],
) -> None:
    config = micro_config(probe_rounds=1, rounds=4, thaw_at="0,0.25,0.5")
    assert unmeasured(config, build_network("micro")).costs == (8, 10, 12, 14, 14, 1.5)


def test_a_frozen_stage_that_a_step_goes_back_through_costs_half_of_one_that_trains(
    micro_config: Callable[..., RunConfig],
) -> None:
    """Of micro's six stages all but the first train by turns, two of four beside the head.

    Forward through six; back through the head (2), two that train (2 each) and those between (1).
    """
    config = micro_config(schedule="dynamics", freeze_rate=0.5, probe_rounds=1, rounds=1)
    network = build_network("micro")
    sizes = sizes_of_units(network, config.batch_norm)
    stages = [unit.name for unit in network.backbone.units]
    trained = expected_units(config, sizes)
    first = min(map(stages.index, trained))
    cost = 6 + 2 * 3 + (len(stages) - first - 3)
    assert unmeasured(config, network).costs == (8, cost, 1.5)


def test_a_budget_makes_rounds_cheaper(micro_config: Callable[..., RunConfig]) -> None:
    network = build_network("micro")

    def round_of(schedule: str, **more: float) -> float:
        config = micro_config(schedule=schedule, probe_rounds=0, rounds=1, **more)
        return unmeasured(config, network).costs[0]

    free = {"freeze_rate": 0.0}
    full, unbounded = round_of("full"), round_of("dynamics", **free)
    half, fifth = (round_of("dynamics", **free, round_budget=share) for share in (0.5, 0.2))
    assert full > unbounded > half > fifth


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "5 s"), (7.6, "10 s"), (54, "55 s"), (58, "1 min"), (600, "10 min"),
        (89.4 * 60, "89 min"), (5400, "1 h 30 min"), (11 * 3600, "11 h"), (72 * 3600, "3.0 days"),
    ],
)  # fmt: skip
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert time_in_words(seconds) == words
