"""Whose turn it is among connections that wait, whatever order they came in."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from server.link.connections.limits import Share
from server.link.connections.turns import Turns

SHARE = Share(per_second=10.0, burst=5, at_once=99, waiting=8)


def there(_: object) -> bool:
    return True


def taken(turns: Turns[str], now: float) -> list[str]:
    """Everybody whose turn it is now."""
    found = []
    while (one := turns.take(now, there)) is not None:
        found.append(one[1])
    return found


def test_so_many_at_once_and_then_so_many_a_second() -> None:
    turns: Turns[str] = Turns(SHARE, 0.0)
    for number in range(8):
        turns.put("a", str(number), 0.0)
    assert len(taken(turns, 0.0)) == 5
    assert taken(turns, 0.05) == []
    assert math.isclose(turns.seconds_to_next(), 0.05)
    assert len(taken(turns, 0.11)) == 1
    assert len(taken(turns, 100.0)) == 2
    assert turns.seconds_to_next() == math.inf


def test_a_busy_process_lets_fewer_in() -> None:
    turns: Turns[str] = Turns(SHARE, 0.0)
    for number in range(8):
        turns.put("a", str(number), 0.0)
    taken(turns, 0.0)
    assert turns.take(0.5, there, pace=0.1) is None
    assert turns.take(1.1, there, pace=0.1) is not None
    assert turns.take(1.1, there) is None


def test_a_newcomer_of_a_crowded_address_is_next() -> None:
    turns: Turns[str] = Turns(SHARE, 0.0)
    for number in range(7):
        turns.put("a", str(number), 0.0)
    taken(turns, 0.0)
    turns.put("a", "newcomer", 0.05)
    assert taken(turns, 0.11) == ["newcomer"]


def test_addresses_take_turns() -> None:
    turns: Turns[str] = Turns(SHARE, 0.0)
    for one in ("a1", "a2", "a3", "a4", "b1", "c1"):
        turns.put(one[0], one, 0.0)
    assert taken(turns, 0.0) == ["a4", "b1", "c1", "a3", "a2"]


def test_who_is_one_too_many_is_the_oldest_of_the_address_that_has_most() -> None:
    turns: Turns[str] = Turns(SHARE, 0.0)
    for one in ("b1", "a1", "a2", "a3", "a4", "a5", "a6", "a7"):
        assert turns.put(one[0], one, 0.0) is None
    assert turns.put("c", "c1", 0.0) == ("a", "a1")
    assert len(turns) == 8


def test_who_has_left_takes_no_turn() -> None:
    turns: Turns[str] = Turns(SHARE, 0.0)
    for number in range(7):
        turns.put("a", str(number), 0.0)
    turns.put("b", "alive", 0.0)
    found = turns.take(0.0, lambda one: one == "alive")
    assert found == ("b", "alive")
    # The seven cost nothing: four of five turns are left.
    assert turns.take(0.0, there) is not None
    assert len(turns) == 5


def test_who_has_waited_too_long_waits_no_longer() -> None:
    turns: Turns[str] = Turns(SHARE, 0.0)
    for second, one in enumerate(("a1", "b2", "a3")):
        turns.put(one[0], one, float(second))
    assert turns.expired(1.5) == [("a", "a1"), ("b", "b2")]
    assert turns.expired(1.5) == []
    assert len(turns) == 1


STEPS = st.lists(
    st.tuples(st.floats(0, 0.5), st.sampled_from("abc"), st.sampled_from(["put", "take", "age"])),
    max_size=80,
)


@given(STEPS)
def test_everybody_is_let_in_once_or_turned_away_once(steps: list[tuple[float, str, str]]) -> None:
    turns: Turns[str] = Turns(SHARE, 0.0)
    now, came, gone = 0.0, 0, []
    let_in = 0
    for elapsed, address, what in steps:
        now += elapsed
        if what == "put":
            came += 1
            if (out := turns.put(address, f"{address}{came}", now)) is not None:
                gone.append(out)
        elif what == "take":
            if (one := turns.take(now, there)) is not None:
                gone.append(one)
                let_in += 1
        else:
            gone += turns.expired(now - 1)
        assert len(turns) == came - len(gone) <= SHARE.waiting
        assert let_in <= SHARE.burst + SHARE.per_second * now + 1e-6
    assert len({one for _, one in gone}) == len(gone)
    assert all(one.startswith(address) for address, one in gone)
