"""A study's arms: named overrides of a run's settings, from a small TOML file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from server.results.plan import Arm
from shared.errors import ConfigError, FedThawError
from shared.settings.overrides import OWN_OPTIONS
from shared.settings.parse import parse_run_config
from shared.settings.setting import Scalar
from shared.storage.toml_file import parse_toml

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ,+=_.-]{0,60}")
_SHIPPED = "server.study"
RESERVED = OWN_OPTIONS | {"folds", "fold", "seed"}
"""What a study sets itself."""


def quoted(names: Iterable[str]) -> str:
    """Names of arms or folders in a sentence: they may hold commas and blanks."""
    return ", ".join(f"'{name}'" for name in names)


@contextmanager
def of_arm(arm: Arm) -> Iterator[None]:
    """Name the arm in what is wrong with it, said before any arm is trained."""
    try:
        yield
    except FedThawError as error:
        raise type(error)(f"Arm '{arm.name}': {error} No arm has been trained.") from error


def shipped_arms() -> tuple[str, ...]:
    """The names of the arms' files that come with FedThaw."""
    files = resources.files(_SHIPPED).joinpath("arms").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


def read_arms(chosen: str) -> tuple[Arm, ...]:
    """The arms of a TOML file, or of one that comes with FedThaw, by its name.

    ConfigError where there is none, and for what is unknown or of another kind in it.
    """
    path = Path(chosen)
    if chosen in shipped_arms():
        text = resources.files(_SHIPPED).joinpath("arms", f"{chosen}.toml").read_text("utf-8")
    elif path.is_file():
        text = _read_text(path)
    else:
        raise ConfigError(
            f"There is no file {chosen}; name a TOML file with [[arm]] tables, or one of "
            f"{', '.join(shipped_arms())}, which come with fedthaw."
        )
    arms = tuple(parse_arm(chosen, table) for table in _tables(chosen, text))
    if not arms:
        raise ConfigError(f'{chosen} has no arm; add tables such as [[arm]] name = "full".')
    return arms


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 text: {error}; correct that.") from error


def _tables(file: str, text: str) -> list[Mapping[str, Any]]:
    try:
        tables = parse_toml(text).get("arm", [])
    except ValueError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}; correct it there.") from error
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{file}: each arm is a table of its own, with [[arm]] above it.")
    return tables


def require_free(settings: Mapping[str, Scalar], place: str) -> None:
    """ConfigError where settings name what a study sets itself; `place` says where they stand."""
    if reserved := RESERVED & set(settings):
        raise ConfigError(
            f"{place}: {min(reserved)} is set by the study itself (repeat 1 has seed 0, and so "
            "on); leave it out."
        )


def parse_arm(file: str, table: Mapping[str, Any]) -> Arm:
    """An arm of its table: name, set, sites, pooled. `file` says where it stands.

    ConfigError for what is unknown or of another kind in it.
    """
    if unknown := set(table) - {"name", "set", "sites", "pooled"}:
        raise ConfigError(
            f"{file}: unknown key '{min(unknown)}' in [[arm]]; known are name, set, sites, pooled."
        )
    name, settings = table.get("name"), table.get("set", {})
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{file}: an arm's name is {name!r}; it must be up to 61 letters, digits, spaces and "
            "simple punctuation."
        )
    if not isinstance(settings, dict):
        raise ConfigError(
            f"{file}: set of arm '{name}' is {settings!r}; it must be a table such as "
            "{ rounds = 20 }."
        )
    require_free(settings, f"{file}, arm '{name}'")
    with of_arm(Arm(name)):
        parse_run_config(settings)  # ConfigError for what is no setting
    sites = table.get("sites", [])
    if not isinstance(sites, list) or not all(isinstance(site, str) for site in sites):
        raise ConfigError(
            f"{file}: sites of arm '{name}' is {sites!r}; it must be a list of names."
        )
    pooled = table.get("pooled", False)
    if not isinstance(pooled, bool):
        raise ConfigError(
            f"{file}: pooled of arm '{name}' is {pooled!r}; it must be true or false."
        )
    return Arm(name, settings, tuple(sites), pooled)
