"""Settings of a run as a command line gives them: KEY=VALUE."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from shared.errors import ConfigError
from shared.model.registry import former_settings
from shared.settings.config import RunConfig
from shared.settings.parse import unknown_setting
from shared.settings.renamed import RECOMPUTE
from shared.settings.setting import Scalar, key_of
from shared.storage.toml_file import parse_toml

OWN_OPTIONS = frozenset({"sites", "out", "resume", "pooled", "quick"})
"""What the commands set from arguments and options of their own."""


def parse_overrides(assignments: Iterable[str]) -> dict[str, Scalar]:
    """Parse `KEY=VALUE` words; numbers and true/false are read as TOML.

    Raises ConfigError where a word has no `=`, and for an unknown key.
    """
    known = {key_of(f.name): f for f in dataclasses.fields(RunConfig)}
    flat: dict[str, Scalar] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"'{assignment}' has no '='; write KEY=VALUE, e.g. rounds=20.")
        if key not in (*known, *former_settings(), RECOMPUTE):
            raise unknown_setting(key)
        is_text = key in known and isinstance(known[key].default, str)
        flat[key] = text if is_text else _read_scalar(key, text)
    return flat


def _read_scalar(key: str, text: str) -> Scalar:
    try:
        value = parse_toml(f"value = {text}")["value"]
    except ValueError:
        return text
    if not isinstance(value, bool | int | float | str):
        raise ConfigError(f"{key} is '{text}'; it must be one number, true/false or text.")
    return value
