"""Settings of a run from a file: flat TOML with the keys that `fedthaw settings` lists."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from shared.errors import ConfigError
from shared.model.registry import former_settings
from shared.settings.config import RunConfig
from shared.settings.overrides import OWN_OPTIONS, parse_overrides
from shared.settings.parse import parse_run_config, unknown_setting
from shared.settings.renamed import RECOMPUTE, check_recompute
from shared.settings.setting import Scalar, check_setting, coerced, key_of
from shared.settings.stage_values import RANGES, replaced
from shared.storage.toml_file import parse_toml

_LARGEST = 100_000
"""Bytes; a file with all settings has a tenth of it."""


def given_settings(file: Path | None, assignments: list[str] | None) -> dict[str, Scalar]:
    """The settings that a command was given: those of `--set` win over the file's.

    ConfigError as `read_settings_file` and `parse_overrides`.
    """
    overrides = parse_overrides(assignments or [])
    return overrides if file is None else replaced(read_settings_file(file), overrides)


def read_settings_file(path: Path) -> dict[str, Scalar]:
    """The settings in a TOML file; each is checked by itself here, all together by the run.

    ConfigError names the file, the key, the value and what is right.
    """
    table = _table(path)
    try:
        settings = {key: _checked(key, value) for key, value in table.items()}
        _check_forms(settings)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return settings


def _table(path: Path) -> Mapping[str, object]:
    try:
        with path.open("rb") as handle:
            content = handle.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigError(
            f"The settings file {path} cannot be read: {error.strerror}. --config takes a TOML "
            "file; `fedthaw settings --toml` prints one."
        ) from None
    if len(content) > _LARGEST:
        raise ConfigError(
            f"The settings file {path} has more than {_LARGEST // 1000} kB; it should "
            "have a line for each setting."
        )
    try:
        return parse_toml(content.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError:
        raise ConfigError(f"Settings file {path} is not UTF-8 text; save it as UTF-8.") from None
    except ValueError as error:
        raise ConfigError(
            f"The settings file {path} is not valid TOML: {error}. Write each setting once, a "
            'line each, such as image-size = 224 or weights = "xrv", with text in quotes.'
        ) from None


def _checked(key: str, value: object) -> Scalar:
    """The value of a setting, of its type and in its range; ConfigError otherwise."""
    known = {key_of(item.name): item for item in dataclasses.fields(RunConfig)}
    if isinstance(value, dict):
        raise ConfigError(
            f"[{key}] is a table; settings go at the top of the file, such as image-size = 224."
        )
    if key in OWN_OPTIONS:
        raise ConfigError(f"{key} is not set in a file; name it on the command line.")
    if key == RECOMPUTE:
        return check_recompute(value)
    if key not in known:
        if key not in former_settings():
            raise unknown_setting(key)
        if not isinstance(value, int | float):
            raise ConfigError(f"{key} is {value!r}; it must be a number.")
        return value
    value = coerced(known[key], value)
    check_setting(known[key], value)
    assert isinstance(value, bool | int | float | str)
    return value


def _check_forms(settings: Mapping[str, Scalar]) -> None:
    """ConfigError for texts of a form of their own, where they can be judged without --set."""
    if "weights-sha256" in settings:
        parse_run_config({"weights-sha256": settings["weights-sha256"]})
    if "backbone" in settings:
        stages = {"backbone", *RANGES, *former_settings()}
        parse_run_config({key: value for key, value in settings.items() if key in stages})
