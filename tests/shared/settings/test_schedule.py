"""Which stages train in which round, and how much travels because of it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.model.registry import backbone_of
from shared.settings.config import RunConfig
from shared.settings.schedule import (
    plan_round,
    stages_ever_thawed,
    thaw_index,
    total_rounds,
)

STAGES = backbone_of("micro").stages

PARAMETERS = {  # ResNet-50, one channel, one logit
    "stem": 3_264,
    "layer1": 215_808,
    "layer2": 1_219_584,
    "layer3": 7_098_368,
    "layer4": 14_964_736,
    "head": 2_049,
}
ROUNDS = [  # first round, last round, phase, trainable stages
    (1, 10, "probe", ("head",)),
    (11, 12, "fine-tune", ("head",)),
    (13, 16, "fine-tune", ("layer4", "head")),
    (17, 22, "fine-tune", ("layer3", "layer4", "head")),
    (23, 30, "fine-tune", ("layer2", "layer3", "layer4", "head")),
]
RECIPE = RunConfig(schedule="progressive")
MAXIMA = {"head": 1e-3, "layer4": 5e-4, "layer3": 2.5e-4, "layer2": 1e-4}

configs = st.builds(
    lambda schedule, rounds, probe, shares: RunConfig(
        schedule=schedule,
        rounds=rounds,
        probe_rounds=probe,
        thaw_at=",".join(map(repr, shares)),
    ),
    st.sampled_from(["progressive", "full", "probe"]),
    st.integers(1, 60),
    st.integers(0, 20),
    st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted),
)


@pytest.mark.parametrize(("first", "last", "phase", "stages"), ROUNDS)
def test_the_recipe_round_by_round(
    first: int, last: int, phase: str, stages: tuple[str, ...]
) -> None:
    for number in range(first, last + 1):
        plan = plan_round(RECIPE, number)
        assert (plan.round, plan.phase, plan.trainable) == (number, phase, stages)
        assert plan.length == (10 if phase == "probe" else 20)
        assert plan.position == (number - 1 if phase == "probe" else number - 11)
        assert plan.rates == {stage: MAXIMA[stage] for stage in stages}
        assert plan.cutmix_probability == (0.0 if phase == "probe" else 0.5)


def test_the_recipe_covers_all_rounds() -> None:
    assert total_rounds(RECIPE) == 30
    assert [n for first, last, *_ in ROUNDS for n in range(first, last + 1)] == list(range(1, 31))


def test_the_recipe_moves_54_percent_of_a_full_exchange() -> None:
    plans = [plan_round(RECIPE, number) for number in range(1, 31)]
    moved = sum(PARAMETERS[stage] for plan in plans for stage in plan.trainable)
    assert round(moved / (30 * sum(PARAMETERS.values())), 2) == 0.54


def test_a_stage_is_sent_from_the_round_after_it_first_trained() -> None:
    assert plan_round(RECIPE, 1).thawed == ("head",)
    assert plan_round(RECIPE, 13).thawed == ("head",)
    assert plan_round(RECIPE, 14).thawed == ("layer4", "head")
    assert stages_ever_thawed(RECIPE, 12) == ("head",)
    assert stages_ever_thawed(RECIPE, 13) == ("layer4", "head")
    assert stages_ever_thawed(RECIPE, 0) == ("head",)


def test_full_trains_everything_after_the_probe() -> None:
    config = RunConfig(schedule="full", rounds=3, probe_rounds=1)
    assert [plan_round(config, n).trainable for n in (1, 2, 4)] == [("head",), STAGES, STAGES]
    rates = plan_round(config, 2).rates
    assert rates == MAXIMA | {"stem": 1e-4, "layer1": 1e-4}
    assert plan_round(config, 2).thawed == ("head",)
    assert plan_round(config, 3).thawed == STAGES


def test_probe_never_trains_more_than_the_head() -> None:
    config = RunConfig(schedule="probe", rounds=20, probe_rounds=10)
    assert {plan_round(config, n).trainable for n in range(1, 31)} == {("head",)}


def test_the_probe_has_its_own_rate() -> None:
    config = RunConfig(schedule="progressive", lr_probe=0.02, lr_head=0.03)
    assert plan_round(config, 10).rates == {"head": 0.02}
    assert plan_round(config, 11).rates == {"head": 0.03}


@pytest.mark.parametrize(
    ("share", "rounds", "index"),
    [(0.1, 20, 2), (0.3, 20, 6), (0.6, 20, 12), (0.29, 100, 29), (0.1, 5, 0), (0.3, 5, 1),
     (0.0, 20, 0), (1.0, 20, 20)],
)  # fmt: skip
def test_the_round_in_which_a_stage_thaws(share: float, rounds: int, index: int) -> None:
    assert thaw_index(share, rounds) == index


def test_a_share_of_one_never_thaws() -> None:
    config = RunConfig(schedule="progressive", thaw_at="1.0")
    assert plan_round(config, 30).trainable == ("head",)


@given(configs)
def test_stages_thaw_from_the_last_to_the_first_and_never_freeze_again(config: RunConfig) -> None:
    plans = [plan_round(config, number) for number in range(1, total_rounds(config) + 1)]
    for plan in plans:
        assert plan.trainable == STAGES[-len(plan.trainable) :]
    for before, after in itertools.pairwise(plans):
        assert set(before.trainable) <= set(after.trainable)
        assert after.thawed == before.trainable


@given(configs)
def test_plans_are_complete(config: RunConfig) -> None:
    seen = []
    for number in range(1, total_rounds(config) + 1):
        plan = plan_round(config, number)
        assert set(plan.rates) == set(plan.trainable)
        assert all(rate > 0 for rate in plan.rates.values())
        assert set(plan.thawed) <= set(plan.trainable)
        assert plan.thawed == tuple(
            s for s in STAGES if s in stages_ever_thawed(config, number - 1)
        )
        seen.append((plan.phase, plan.position, plan.length))
    probe = [("probe", i, config.probe_rounds) for i in range(config.probe_rounds)]
    assert seen == probe + [("fine-tune", i, config.rounds) for i in range(config.rounds)]


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 1000))
def test_a_larger_share_thaws_no_earlier(share: float, other: float, rounds: int) -> None:
    assume(share <= other)
    assert 0 <= thaw_index(share, rounds) <= thaw_index(other, rounds) <= rounds


@pytest.mark.parametrize("number", [0, -1, 31])
def test_a_round_outside_the_run(number: int) -> None:
    with pytest.raises(ValueError, match=f"round {number} is outside 1 to 30"):
        plan_round(RECIPE, number)
