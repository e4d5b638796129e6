"""Every setting is checked by type and range, and survives the ways in which it is carried."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import Any

import pytest
import torch
from flwr.common.serde import user_config_from_proto, user_config_to_proto
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.errors import ConfigError
from shared.model.network import build_network
from shared.model.registry import backbone_of
from shared.settings.config import LONGEST_FINDING, RunConfig
from shared.settings.overrides import parse_overrides
from shared.settings.parse import parse_run_config
from shared.settings.schedule import total_rounds
from shared.settings.setting import key_of

FIELDS = dataclasses.fields(RunConfig)
NUMBERS = [item for item in FIELDS if type(item.default) in (int, float)]
NEVER: dict[str, object] = {"schedule": "progressive", "thaw-at": "1.0"}
WRONG_VALUES: dict[type, list[object]] = {
    bool: [1, 0.0, "true", None],
    int: [1.5, 1.0, True, "3", None],
    float: [True, "0.5", None],
    str: [1, 2.5, False, None, ["resnet50"]],
}

type_cases = [(item, value) for item in FIELDS for value in WRONG_VALUES[type(item.default)]]


def _case_name(value: object) -> str:
    return value.name if isinstance(value, dataclasses.Field) else repr(value)


@pytest.mark.parametrize(("item", "value"), type_cases, ids=_case_name)
def test_a_value_of_another_type_is_refused(item: dataclasses.Field[Any], value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{key_of(item.name)} is .*; it must be "):
        parse_run_config({key_of(item.name): value})


@pytest.mark.parametrize("item", NUMBERS, ids=_case_name)
def test_a_number_lies_between_its_limits(item: dataclasses.Field[Any]) -> None:
    key, low, high = key_of(item.name), item.metadata["minimum"], item.metadata["maximum"]
    outside = [low - 1, high + 1]
    if isinstance(item.default, float):
        outside += [math.nan, math.inf, -math.inf, math.nextafter(high, math.inf)]
    for value in outside:
        with pytest.raises(ConfigError, match=f"^{key} is .*; it must lie in {low:g} to "):
            parse_run_config({key: value})
    others: dict[str, dict[str, Any]] = {
        "update-clip": {"update-steps": 2.0},
        "fold": {"folds": 100},
    }
    for value in (low, high):
        assert parse_run_config({key: value} | others.get(key, {})).to_flat()[key] == value


@pytest.mark.parametrize("item", NUMBERS, ids=_case_name)
def test_every_number_has_limits(item: dataclasses.Field[Any]) -> None:
    assert item.metadata["minimum"] <= item.default <= item.metadata["maximum"]


@pytest.mark.parametrize("item", [f for f in FIELDS if f.metadata["choices"]], ids=_case_name)
def test_a_choice_is_one_of_those_named(item: dataclasses.Field[Any]) -> None:
    key, choices = key_of(item.name), item.metadata["choices"]
    for choice in choices:
        beside = {"dual": {"backbone": "tiny"}, "rgb": {"weights": "random"}}
        more = beside.get(choice, {})
        assert parse_run_config({key: choice, **more}).to_flat()[key] == choice
    with pytest.raises(ConfigError, match=f"{key} is 'other'; it must be one of {choices[0]}"):
        parse_run_config({key: "other"})


def test_every_setting_says_what_it_means() -> None:
    assert [f.name for f in FIELDS if not f.metadata["help"]] == []


def test_a_whole_number_is_taken_where_a_real_one_is_asked_for() -> None:
    rate = parse_run_config({"lr-head": 1}).lr_head
    assert (rate, type(rate)) == (1.0, float)


def test_a_logistic_regression_is_combined_once() -> None:
    once = RunConfig(schedule="logistic", strategy="fedmedian", rounds=0, probe_rounds=0)
    assert total_rounds(once) == 1
    with pytest.raises(ConfigError, match="strategy is fedadam, which takes a step from"):
        RunConfig(schedule="logistic", strategy="fedadam")


@pytest.mark.parametrize(
    ("key", "suggested"),
    [
        ("round", "rounds"),
        ("image_size", "image-size"),
        ("lr-layer-4", "lr-layer4"),
        ("thaw_at", "thaw-at"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_likely_one(key: str, suggested: str) -> None:
    sentence = f"^Unknown setting '{key}'; did you mean '{suggested}'"
    with pytest.raises(ConfigError, match=sentence):
        parse_run_config({key: 1})
    with pytest.raises(ConfigError, match=sentence):
        parse_overrides([f"{key}=1"])


def test_an_unknown_setting_like_no_other_is_refused_without_advice() -> None:
    with pytest.raises(ConfigError, match=r"^Unknown setting 'zzzzzz'\.$"):
        parse_run_config({"zzzzzz": 1})


@pytest.mark.parametrize(
    ("flat", "sentence"),
    [
        ({"unfreeze-layer4": 0.5}, "must not thaw a stage before the one behind it"),
        ({"thaw-at": "0.2,0.1"}, "('layer4=0.2,layer3=0.1') must not thaw a stage before"),
        ({"thaw-at": "layer3=0.2"}, "in order these are layer4, layer3, layer2, layer1, stem"),
        ({"rounds": 0, "probe-rounds": 0}, "at least one round is needed"),
        ({"folds": 1}, "fold is 0 and folds 1; to hold out a fold, folds must be at least 2"),
        ({"fold": 2}, "fold is 2 and folds 0;"),
        ({"folds": 3, "fold": 3}, "fold is 3 and folds 3;"),
        ({"weights-sha256": "A" * 64}, "it must be 64 lower-case hexadecimal digits"),
        ({"weights-sha256": "a" * 63}, "it must be 64 lower-case hexadecimal digits"),
    ],
)
def test_settings_that_contradict_each_other(flat: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        parse_run_config(flat)


@pytest.mark.parametrize("backbone", ["micro", "resnet18"])
@pytest.mark.parametrize("size", [32, 33])
def test_single_images_must_leave_layer4_something_to_normalise(backbone: str, size: int) -> None:
    """As the network itself has it."""
    settings = {"backbone": backbone, "image-size": size, "batch-size": 1}
    network = build_network(backbone).train()
    if size > 32:
        network(torch.zeros(1, 1, size, size))
        parse_run_config(settings)
        return
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        network(torch.zeros(1, 1, size, size))
    with pytest.raises(ConfigError, match="batch-size is 1 and image-size 32"):
        parse_run_config(settings)
    with pytest.raises(ConfigError, match="batch-size is 1 and image-size 32"):
        parse_run_config({**settings, "schedule": "full", "thaw-at": "0"})


@pytest.mark.parametrize(
    "more",
    [{"schedule": "probe"}, {"batch-norm": "frozen"}, {"rounds": 0}, {"batch-size": 2}, NEVER],
)
def test_single_images_may_be_small_where_layer4_keeps_its_statistics(
    more: dict[str, object],
) -> None:
    parse_run_config({"image-size": 32, "batch-size": 1, **more})


def test_an_empty_configuration_is_the_recipe() -> None:
    assert parse_run_config({}) == RunConfig()


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig().rounds = 3  # type: ignore[misc]  # the assignment is what is tested


def _values(item: dataclasses.Field[Any]) -> st.SearchStrategy[Any]:
    low, high = item.metadata["minimum"], item.metadata["maximum"]
    if item.name in ("weights_sha256", "teacher_sha256"):
        return st.just("") | st.text("0123456789abcdef", min_size=64, max_size=64)
    if item.metadata["choices"]:
        return st.sampled_from(item.metadata["choices"])
    if isinstance(item.default, bool):
        return st.booleans()
    if isinstance(item.default, int):
        return st.integers(low, high)
    if isinstance(item.default, float):
        return st.floats(low, high)
    if item.name == "outcome":
        return st.sampled_from(["binary", "ordinal: a | b c", "labels:effusion|naïve"])
    longest = LONGEST_FINDING if item.name == "finding" else None
    return st.text(st.characters(codec="utf-8"), max_size=longest)


@st.composite
def configs(draw: st.DrawFn) -> RunConfig:
    values = {item.name: draw(_values(item)) for item in FIELDS}
    if values["schedule"] == "dual":
        values["backbone"] = "tiny"
        assume(values["probe_rounds"] > 0 and values["augmentation"] != "none")
    numbers = draw(st.lists(st.floats(0, 1), min_size=1, max_size=5))
    stages = backbone_of(values["backbone"]).stages[-2::-1]
    named = zip(stages, sorted(numbers), strict=False)
    values["thaw_at"] = ",".join(f"{stage}={number!r}" for stage, number in named)
    values["rates"] = ",".join(map(repr, numbers[: len(stages)]))
    assume(values["batch_size"] > 1 or values["image_size"] > 64)  # a DenseNet needs 61
    assume(values["image_size"] % backbone_of(values["backbone"]).patch == 0)
    assume(values["rounds"] + values["probe_rounds"] > 0)
    once = {"fedavg", "fedmedian", "fedtrimmedavg", "krum"}
    assume(
        values["schedule"] != "logistic"
        or (values["strategy"] in once and values["outcome"] == "binary")
    )
    if values["update_rank"]:
        values["update_dtype"] = "int8"
    if values["update_rank"] or values["update_steps"] < 2:
        values["update_clip"] = 0.0
    values["folds"] = 0 if values["folds"] == 1 else values["folds"]
    values["fold"] = min(values["fold"], max(0, values["folds"] - 1))
    return RunConfig(**values)


@given(configs())
def test_a_configuration_survives_every_way_it_is_carried(config: RunConfig) -> None:
    flat = config.to_flat()
    assert parse_run_config(flat) == config
    assert parse_run_config(json.loads(json.dumps(flat))) == config
    carried = user_config_from_proto(user_config_to_proto(flat))
    assert parse_run_config(carried) == config


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("rounds=3", 3),
        ("rounds=1_000", 1000),
        ("rounds= 7", 7),
        ("lr-head=1e-4", 1e-4),
        ("lr-head=2", 2),
        ("resume=true", True),
        ("resume=false", False),
        ("weights=models/a=b.pt", "models/a=b.pt"),
        ("weights=5", "5"),
        ("weights-sha256=true", "true"),
        ("sites=", ""),
        ("rounds=many", "many"),
        ("resume=True", "True"),
        ("rounds=", ""),
    ],
)
def test_words_of_a_command_line(word: str, expected: object) -> None:
    value = parse_overrides([word])[word.partition("=")[0]]
    assert (value, type(value)) == (expected, type(expected))


def test_the_last_of_equal_words_counts() -> None:
    assert parse_overrides(["rounds=3", "seed=1", "rounds=4"]) == {"rounds": 4, "seed": 1}


@pytest.mark.parametrize("word", ["rounds=[1, 2]", "rounds={a = 1}", "rounds=2025-01-31"])
def test_a_word_holds_one_value(word: str) -> None:
    with pytest.raises(ConfigError, match=r"^rounds is '.*'; it must be one number"):
        parse_overrides([word])


def test_a_word_without_equals_sign_is_refused() -> None:
    with pytest.raises(ConfigError, match="'rounds' has no '='; write KEY=VALUE"):
        parse_overrides(["rounds"])


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("rounds=many", "rounds is 'many'; it must be an integer"),
        ("rounds=2.0", "rounds is 2.0; it must be an integer"),
        ("resume=True", "resume is 'True'; it must be true or false"),
        ("lr-head=nan", "lr-head is nan; it must lie in 0 to 10"),
        ("lr-head=fast", "lr-head is 'fast'; it must be a number"),
    ],
)
def test_a_bad_word_is_refused_with_what_would_be_right(word: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        parse_run_config(parse_overrides([word]))
