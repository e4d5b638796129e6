"""The time that a run still takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.run.eta import Expected, unmeasured
from server.terminal.rough import time_in_words
from shared.settings.config import RunConfig

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
    assert unmeasured(config).costs == (8, 10, 12, 14, 14, 1.5)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "5 s"), (7.6, "10 s"), (54, "55 s"), (58, "1 min"), (600, "10 min"),
        (89.4 * 60, "89 min"), (5400, "1 h 30 min"), (11 * 3600, "11 h"), (72 * 3600, "3.0 days"),
    ],
)  # fmt: skip
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert time_in_words(seconds) == words
