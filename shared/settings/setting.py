"""One setting of a run: a dataclass field with its help text and its allowed values."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import field
from typing import Any

from shared.errors import ConfigError

Scalar = bool | int | float | str


def setting(
    default: Scalar,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field that carries its help text and its allowed values."""
    metadata = {"help": help, "minimum": minimum, "maximum": maximum, "choices": choices}
    return field(default=default, metadata=metadata)


def value_in_words(value: object) -> str:
    """A setting's value as it is written on a command line: true and false in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def key_of(name: str) -> str:
    """The configuration key of a field name: `image_size` -> `image-size`."""
    return name.replace("_", "-")


def coerced(item: dataclasses.Field[Any], value: object) -> object:
    """Accept an integer where a real number is asked for; Flower's own parser yields either."""
    if isinstance(item.default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def check_setting(item: dataclasses.Field[Any], value: object) -> None:
    """ConfigError for a value of another type than the default's, or one that is not allowed."""
    key, expected = key_of(item.name), type(item.default)
    if type(value) is not expected:
        names = {bool: "true or false", int: "an integer", float: "a number", str: "text"}
        raise ConfigError(f"{key} is {value!r}; it must be {names[expected]}.")
    minimum, maximum = item.metadata["minimum"], item.metadata["maximum"]
    if isinstance(value, int | float) and minimum is not None:
        _check_range(key, value, minimum, maximum)
    choices = item.metadata["choices"]
    if choices and value not in choices:
        raise ConfigError(f"{key} is '{value}'; it must be one of {', '.join(choices)}.")


def _check_range(key: str, value: float, minimum: float, maximum: float) -> None:
    if not (math.isfinite(value) and minimum <= value <= maximum):
        raise ConfigError(f"{key} is {value}; it must lie in {minimum:g} to {maximum:g}.")
