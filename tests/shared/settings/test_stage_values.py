"""thaw-at and rates, and the settings that they replaced."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigError
from shared.settings.config import RunConfig
from shared.settings.overrides import parse_overrides
from shared.settings.parse import parse_run_config
from shared.settings.schedule import plan_round, total_rounds
from shared.settings.setting import Scalar
from shared.settings.stage_values import replaced

STAGES = ("layer4", "layer3", "layer2")
shares = st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted)
rates = st.lists(st.floats(0, 10), min_size=3, max_size=3)


@given(shares, rates, st.sampled_from(["resnet50", "resnet18", "micro"]))
def test_the_earlier_settings_give_the_same_plans(
    thaws: list[float], maxima: list[float], backbone: str
) -> None:
    former: dict[str, object] = {"backbone": backbone, "schedule": "progressive"}
    former |= {f"unfreeze-{s}": share for s, share in zip(STAGES, thaws, strict=True)}
    former |= {f"lr-{s}": rate for s, rate in zip(STAGES, maxima, strict=True)}
    config = parse_run_config(former)
    placed = {"backbone": backbone, "schedule": "progressive",
              "thaw-at": ",".join(map(repr, thaws)),
              "rates": ",".join(map(repr, maxima))}  # fmt: skip
    assert parse_run_config(placed) == config
    assert former.items() <= config.to_flat().items()
    for number in range(1, total_rounds(config) + 1):
        plan = plan_round(config, number)
        index = number - 1 - config.probe_rounds
        for stage, share, rate in zip(STAGES, thaws, maxima, strict=True):
            thawed = index >= 0 and index >= int(round(share * config.rounds, 9))
            assert (stage in plan.trainable) == thawed
            assert not thawed or plan.rates[stage] == rate


def test_a_stored_run_of_an_earlier_version_is_read() -> None:
    """A config.json from before thaw-at and rates, as a run is continued from it."""
    before = RunConfig(thaw_at="0.2,0.3,0.6").to_flat()
    stored = {key: value for key, value in before.items() if key not in ("thaw-at", "rates")}
    assert stored["unfreeze-layer4"] == 0.2
    assert parse_run_config(stored).to_flat() == before


@pytest.mark.parametrize(
    ("word", "plan"),
    [
        ("thaw-at=layer4=0.1,layer3=0.5", {"layer4": 2, "layer3": 10}),
        ("thaw-at=0.1,0.5", {"layer4": 2, "layer3": 10}),
        ("thaw-at= layer3 = 0.5 , layer4=0.1", {"layer4": 2, "layer3": 10}),
        ("thaw-at=0,0.2,0.4,0.6,0.8",
         {"layer4": 0, "layer3": 4, "layer2": 8, "layer1": 12, "stem": 16}),
        ("unfreeze-layer4=0.2", {"layer4": 4, "layer3": 6, "layer2": 12}),
    ],
)  # fmt: skip
def test_as_a_command_line_gives_it(word: str, plan: dict[str, int]) -> None:
    config = parse_run_config(parse_overrides(["schedule=progressive", word]))
    first: dict[str, int] = {}
    for index in range(config.rounds):
        for stage in plan_round(config, index + 1 + config.probe_rounds).trainable[:-1]:
            first.setdefault(stage, index)
    assert first == plan


@pytest.mark.parametrize(
    ("given", "thaw_at"),
    [
        ({}, "0.2,0.3,0.6"),
        ({"unfreeze-layer4": 0.3}, "layer4=0.3,layer3=0.3,layer2=0.6"),
        ({"unfreeze-layer4": 0.2}, "layer4=0.2,layer3=0.3,layer2=0.6"),
        ({"thaw-at": "0.5"}, "layer4=0.5"),
        ({"thaw-at": "0.5", "unfreeze-layer4": 0.1}, "layer4=0.5"),  # its default says nothing
    ],
)
def test_either_name_replaces_what_was_set_under_both(
    given: dict[str, Scalar], thaw_at: str
) -> None:
    before = RunConfig(thaw_at="0.2,0.3,0.6").to_flat()
    assert parse_run_config(replaced(before, given)) == RunConfig(thaw_at=thaw_at)


def test_a_stage_without_a_rate_takes_that_of_the_next_one() -> None:
    config = RunConfig(schedule="full", rates="layer3=0.1,layer1=0.2", lr_head=0.3)
    assert plan_round(config, 11).rates == {
        "stem": 0.2, "layer1": 0.2, "layer2": 0.1, "layer3": 0.1, "layer4": 0.3, "head": 0.3,
    }  # fmt: skip


def test_equal_settings_are_written_alike() -> None:
    written = {RunConfig(thaw_at=text).thaw_at for text in (
        "0.1,0.3,0.6", "0.10, 0.30, 0.60", "layer2=0.6,layer3=0.3,layer4=0.1",
    )}  # fmt: skip
    assert written == {RunConfig().thaw_at}


@pytest.mark.parametrize(
    ("flat", "sentence"),
    [
        ({"thaw-at": ""}, "thaw-at is '', but it is empty"),
        ({"thaw-at": "layer5=0.1"}, "'layer5' is not a stage before its head; give the stages of"),
        ({"thaw-at": "head=0.1"}, "'head' is not a stage before its head"),
        ({"thaw-at": "layer4=0.1,layer4=0.2"}, "layer4 is named twice"),
        ({"thaw-at": "layer4=0.1,0.2"}, "'0.2' names no stage"),
        ({"thaw-at": "layer4="}, "'' is not a number"),
        ({"thaw-at": "1.5"}, "1.5 does not lie in 0 to 1"),
        ({"thaw-at": "nan"}, "nan does not lie in 0 to 1"),
        ({"thaw-at": "0,0,0,0,0,0"}, "it has 6 numbers for 5 stages before the head"),
        ({"rates": "-1"}, "-1 does not lie in 0 to 10"),
        ({"lr-layer4": "fast"}, "lr-layer4 is 'fast'; it must be a number"),
        ({"lr-layer4": True}, "lr-layer4 is True; it must be a number"),
        ({"lr-layer4": 11}, "lr-layer4 is 11; it must lie in 0 to 10"),
        (
            {"thaw-at": "0.2,0.4", "unfreeze-layer4": 0.3},
            "they set the same: leave out unfreeze-layer4",
        ),
    ],
)
def test_what_is_refused(flat: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        parse_run_config(flat)
