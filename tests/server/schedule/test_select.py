"""Which units a round trains: within the budget, and as the rule says."""

from __future__ import annotations

import dataclasses
from statistics import fmean, median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.schedule.select import CYCLES, Choice, Past, Seen, select_units
from shared.model.manifest import sizes_of_units
from shared.model.network import build_network
from shared.settings.config import RunConfig
from shared.settings.dynamics import Budget, candidates, expected_units

RULES = ("distance", "coherence", "round-robin", "random")
UNITS = tuple(f"unit{number}" for number in range(6))


def choice_of(units: int = 2, number: int = 9, **changes: Any) -> Choice:
    sizes = dict.fromkeys(UNITS, 10)
    budget = Budget(units=units, values=1000, head=1)
    return dataclasses.replace(Choice(number, UNITS, sizes, budget, seed=3), **changes)


def past_of(**values: float) -> dict[str, Seen]:
    return {unit: Seen(8, value, value) for unit, value in values.items()}


seen = st.builds(
    Seen,
    st.integers(1, 20),
    st.none() | st.floats(0, 2),
    st.none() | st.floats(-1, 1),
)


@given(
    rule=st.sampled_from(RULES),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=9),
    most=st.integers(1, 9),
    values=st.integers(0, 200),
    seed=st.integers(0, 9),
    number=st.integers(1, 30),
    data=st.data(),
)
def test_no_rule_leaves_its_budget_or_wastes_it(
    rule: str, sizes: list[int], most: int, values: int, seed: int, number: int, data: Any
) -> None:
    units = tuple(f"unit{n}" for n in range(len(sizes)))
    by_unit = dict(zip(units, sizes, strict=True))
    choice = Choice(number, units, by_unit, Budget(most, values, head=1), seed)
    past: Past = data.draw(st.dictionaries(st.sampled_from(units), seen))
    chosen = select_units(rule, choice, past)
    held = 1 + sum(by_unit[unit] for unit in chosen)
    assert len(chosen) <= most
    assert held <= values or not chosen
    assert list(chosen) == [unit for unit in units if unit in set(chosen)]
    if len(chosen) < most:  # nothing that is left out would have fitted
        assert all(held + by_unit[unit] > values for unit in units if unit not in chosen)
    # The same past told in another order gives the same.
    again = dict(reversed(list(past.items())))
    assert select_units(rule, choice, again) == chosen


def test_distance_takes_what_moved_most() -> None:
    past = past_of(unit0=0.1, unit1=0.5, unit2=0.3, unit3=0.2, unit4=0.9, unit5=0.05)
    assert select_units("distance", choice_of(), past) == ("unit1", "unit4")
    assert select_units("distance", choice_of(units=3), past) == ("unit1", "unit2", "unit4")


@pytest.mark.parametrize("rule", ["distance", "coherence"])
def test_a_unit_that_was_never_measured_comes_first(rule: str) -> None:
    past = past_of(unit0=0.1, unit1=0.5, unit3=0.2, unit4=0.9, unit5=0.05)
    assert select_units(rule, choice_of(), past) == ("unit2", "unit4")
    unmeasured = past | {"unit5": Seen(8, None, None)}
    if rule == "distance":
        assert select_units(rule, choice_of(), unmeasured) == ("unit2", "unit5")


def test_coherence_takes_what_the_sites_agree_on_and_forgets_what_is_old() -> None:
    past = past_of(unit0=-0.4, unit1=0.1, unit2=0.3, unit3=0.0, unit4=-0.9, unit5=0.2)
    assert select_units("coherence", choice_of(), past) == ("unit2", "unit5")
    cycle = 3  # six units, two a round
    old = past | {"unit4": Seen(9 - CYCLES * cycle, 1.0, -0.9)}
    assert select_units("coherence", choice_of(), old) == ("unit2", "unit5")
    older = past | {"unit4": Seen(8 - CYCLES * cycle, 1.0, -0.9)}
    assert select_units("coherence", choice_of(), older) == ("unit2", "unit4")
    # Of a single site nothing is known but that it is no worse than chance.
    alone = {unit: Seen(8, 0.1, None) for unit in UNITS} | past_of(unit3=-0.1, unit1=0.1)
    assert "unit1" in select_units("coherence", choice_of(), alone)
    assert "unit3" not in select_units("coherence", choice_of(units=5), alone)


def run(rule: str, rounds: int, **changes: Any) -> list[tuple[str, ...]]:
    """The choices of so many rounds, in each of which what trains shows the same."""
    past: dict[str, Seen] = {}
    chosen = []
    for number in range(1, rounds + 1):
        chosen.append(select_units(rule, choice_of(number=number, **changes), past))
        past |= {unit: Seen(number, 0.1, 0.1) for unit in chosen[-1]}
    return chosen


def test_round_robin_goes_around_from_the_head_and_starves_nobody() -> None:
    assert run("round-robin", 4) == [
        ("unit4", "unit5"), ("unit2", "unit3"), ("unit0", "unit1"), ("unit4", "unit5"),
    ]  # fmt: skip
    sizes = dict(zip(UNITS, (10, 10, 10, 60, 60, 95), strict=True))
    trained = run("round-robin", 12, sizes=sizes, budget=Budget(3, 100, head=1))
    assert all(sum(unit in one for one in trained) >= 2 for unit in UNITS)


@pytest.mark.parametrize("rule", ["distance", "coherence"])
def test_each_unit_is_visited_before_any_is_visited_again(rule: str) -> None:
    assert sorted(unit for one in run(rule, 3) for unit in one) == sorted(UNITS)


def test_coherence_keeps_to_what_agrees_however_little_the_budget_lets_train() -> None:
    """Two units fit a round, so that a cycle has three rounds, whatever number would be allowed."""
    sizes, budget = dict.fromkeys(UNITS, 10), Budget(units=6, values=21, head=1)
    agreed = dict(zip(UNITS, (0.1, 0.9, 0.2, 0.8, 0.3, 0.4), strict=True))
    past: dict[str, Seen] = {}
    chosen = []
    for number in range(1, 8):
        choice = choice_of(number=number, sizes=sizes, budget=budget)
        chosen.append(select_units("coherence", choice, past))
        past |= {unit: Seen(number, 0.1, agreed[unit]) for unit in chosen[-1]}
    assert sorted(unit for one in chosen[:3] for unit in one) == sorted(UNITS)
    assert chosen[3:7] == [("unit1", "unit3")] * 4


def test_random_is_drawn_by_seed_and_round_alone() -> None:
    drawn = run("random", 60)
    assert drawn == run("random", 60)
    assert drawn != run("random", 60, seed=4)
    counts = {unit: sum(unit in one for one in drawn) for unit in UNITS}
    assert min(counts.values()) > 8  # 20 expected
    assert len(set(drawn)) > 8  # of 15 pairs


def test_a_rule_that_is_none() -> None:
    with pytest.raises(ValueError, match="no rule 'largest'"):
        select_units("largest", choice_of(), {})


@pytest.mark.parametrize("backbone", ["micro", "resnet18", "vit-tiny"])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.2, 0.1])
@pytest.mark.parametrize("rate", [0.0, 0.5, 0.8])
def test_what_is_estimated_is_typical_of_what_a_run_trains(
    backbone: str, share: float, rate: float
) -> None:
    """Against three hundred rounds of the random rule: how many units, and how far back."""
    config = RunConfig(
        backbone=backbone, schedule="dynamics", freeze_rate=rate, round_budget=share,
        image_size=32,
    )  # fmt: skip
    units, sizes = candidates(config), sizes_of_units(build_network(backbone), "average")
    budget = Budget.of(config, sizes)
    rounds = [
        select_units("random", Choice(number, units, sizes, budget, seed=7), {})
        for number in range(1, 301)
    ]
    expected = expected_units(config, sizes)
    assert len(expected) == pytest.approx(fmean(map(len, rounds)), abs=0.6)
    firsts = [units.index(chosen[0]) if chosen else len(units) for chosen in rounds]
    first = min((units.index(unit) for unit in expected), default=len(units))
    assert abs(first - median(firsts)) <= 1
