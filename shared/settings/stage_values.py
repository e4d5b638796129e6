"""Settings with a number for each of several stages: `thaw-at` and `rates`.

Written as `NAME=0.1,NAME=0.3`, by the names of the backbone's stages, or as `0.1,0.3`: then for the
stages before the head, the last first, whatever the backbone calls them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from shared.errors import ConfigError
from shared.model.backbone import RECIPE_RATES, RECIPE_THAWS, Backbone
from shared.model.registry import BACKBONES, former_settings
from shared.settings.renamed import without_replaced
from shared.settings.setting import Scalar

StageValues = Mapping[str, float]
"""A number for each of some stages, the last stage first."""

RANGES = {"thaw-at": (0.0, 1.0), "rates": (0.0, 10.0)}
SMALL_THAWS = "0.05,0.1,0.2"
"""`thaw-at` of the demo and of `--quick`, for a network that begins from nothing."""
RECIPE = {"thaw-at": RECIPE_THAWS, "rates": RECIPE_RATES}
DEFAULTS = {key: ",".join(map(repr, values)) for key, values in RECIPE.items()}


def parse_stage_values(key: str, text: str, backbone: Backbone) -> StageValues:
    """The numbers that `text`, of the setting `key`, gives the stages of a backbone.

    ConfigError for a stage that it has not, one named twice, and a number out of range.
    """
    words = [word.strip() for word in text.split(",")]
    if not text.strip():
        raise _wrong(key, text, backbone, "it is empty")
    if not any("=" in word for word in words):
        return _by_place(key, text, words, backbone)
    found: dict[str, float] = {}
    for word in words:
        stage, equals, number = (part.strip() for part in word.partition("="))
        if not equals:
            raise _wrong(key, text, backbone, f"'{word}' names no stage")
        if stage not in backbone.stages[:-1]:
            raise _wrong(key, text, backbone, f"'{stage}' is not a stage before its head")
        if stage in found:
            raise _wrong(key, text, backbone, f"{stage} is named twice")
        found[stage] = _number(key, text, number, backbone)
    return {stage: found[stage] for stage in reversed(backbone.stages) if stage in found}


def write_stage_values(key: str, values: StageValues, backbone: Backbone) -> str:
    """The text for these numbers; the recipe's own where they are the recipe's."""
    if values == _recipe(key, backbone):
        return DEFAULTS[key]
    return ",".join(f"{stage}={value!r}" for stage, value in values.items())


def with_former(flat: Mapping[str, object], backbone: Backbone) -> dict[str, object]:
    """A run's settings in which those of earlier versions are taken into what replaced them.

    One that has its default changes nothing, so both it and what replaced it may be given.
    ConfigError for one of another backbone, of another type, out of range, or that contradicts its
    successor.
    """
    known = former_settings()
    given = {key: _former_number(key, flat[key], known[key][0]) for key in known if key in flat}
    new = {key: value for key, value in flat.items() if key not in known}
    for setting in RECIPE:
        own = {key: value for key, value in given.items() if known[key][0] == setting}
        changed = {key: value for key, value in own.items() if value != former_default(known[key])}
        if not changed:
            continue
        if foreign := sorted(changed.keys() - backbone.former.keys()):
            raise ConfigError(
                f"{foreign[0]} is for another network than {backbone.name}; set {setting} instead, "
                f"e.g. {setting}={_example(setting, backbone)}."
            )
        values = {**_recipe(setting, backbone)}
        values |= {backbone.former[key][1]: value for key, value in own.items()}
        current = new.get(setting, DEFAULTS[setting])
        if not isinstance(current, str) or current == DEFAULTS[setting]:
            new[setting] = write_stage_values(setting, values, backbone)
        elif _all(setting, parse_stage_values(setting, current, backbone)) != _all(setting, values):
            key, value = next(iter(changed.items()))
            raise ConfigError(
                f"{setting} is '{current}' and {key} is {value}; they set the same: leave out "
                f"{key}."
            )
    return new


def replaced(before: Mapping[str, Scalar], given: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Settings in which those given replace others, under their own names or those of before.

    `before` has both names of what it says.
    """
    known, kept = former_settings(), without_replaced(before, given)
    for setting in RECIPE:
        former = [key for key, (new, _) in known.items() if new == setting]
        if setting in given:
            kept = {key: value for key, value in kept.items() if key not in former}
        elif any(key in given for key in former):
            kept.pop(setting, None)
    return {**kept, **given}


def former_of(setting: str, text: str, backbone: Backbone) -> dict[str, Scalar]:
    """What a setting was in earlier versions, for a backbone that had them; else empty.

    Empty too where those could not have said it.
    """
    stages = {stage: key for key, (new, stage) in backbone.former.items() if new == setting}
    values = parse_stage_values(setting, text, backbone)
    if not stages or not values.keys() <= stages.keys():
        return {}
    if setting == "thaw-at":
        values = {**dict.fromkeys(stages, 1.0), **values}  # a stage that is not named never thaws
    return {stages[stage]: values[stage] for stage in stages} if len(values) == len(stages) else {}


def former_default(former: tuple[str, str]) -> float:
    """The default of a setting of earlier versions, named by its successor and its stage."""
    setting, stage = former
    having = next(b for b in BACKBONES.values() if former in b.former.values())
    return _recipe(setting, having)[stage]


def _recipe(key: str, backbone: Backbone) -> dict[str, float]:
    stages = backbone.thawing_stages(len(RECIPE[key]))
    return dict(zip(stages, RECIPE[key], strict=True))


def _all(setting: str, values: StageValues) -> StageValues:
    """Without what says nothing: a stage that thaws after all rounds never does."""
    return {stage: v for stage, v in values.items() if not (setting == "thaw-at" and v == 1)}


def _by_place(key: str, text: str, words: list[str], backbone: Backbone) -> StageValues:
    numbers = [_number(key, text, word, backbone) for word in words]
    if len(numbers) > len(backbone.stages) - 1:
        raise _wrong(
            key, text, backbone,
            f"it has {len(numbers)} numbers for {len(backbone.stages) - 1} stages before the head",
        )  # fmt: skip
    return dict(zip(backbone.thawing_stages(len(numbers)), numbers, strict=True))


def _number(key: str, text: str, word: str, backbone: Backbone) -> float:
    try:
        value = float(word)
    except ValueError:
        raise _wrong(key, text, backbone, f"'{word}' is not a number") from None
    low, high = RANGES[key]
    if not (math.isfinite(value) and low <= value <= high):
        raise _wrong(key, text, backbone, f"{word} does not lie in {low:g} to {high:g}")
    return value


def _former_number(key: str, value: object, setting: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{key} is {value!r}; it must be a number.")
    low, high = RANGES[setting]
    if not (math.isfinite(value) and low <= value <= high):
        raise ConfigError(f"{key} is {value}; it must lie in {low:g} to {high:g}.")
    return float(value)


def _wrong(key: str, text: str, backbone: Backbone, why: str) -> ConfigError:
    return ConfigError(
        f"{key} is '{text}', but {why}; give the stages of {backbone.name} their numbers, e.g. "
        f"{key}={_example(key, backbone)}."
    )


def _example(key: str, backbone: Backbone) -> str:
    return ",".join(f"{stage}={value:g}" for stage, value in _recipe(key, backbone).items())
