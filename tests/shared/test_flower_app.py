"""The repository is a Flower app: its defaults and its components."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest
from flwr.cli.config_utils import load_and_validate
from flwr.common.config import flatten_dict

from shared.settings.config import RunConfig
from shared.settings.parse import parse_run_config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def flower_app() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        content: dict[str, Any] = tomllib.load(file)["tool"]["flwr"]["app"]
    return content


def test_flowers_defaults_are_those_of_the_configuration(flower_app: dict[str, Any]) -> None:
    written, meant = flower_app["config"], RunConfig().to_flat()
    assert list(written) == list(meant)
    assert [(type(v), v) for v in written.values()] == [(type(v), v) for v in meant.values()]


def test_flower_accepts_the_app() -> None:
    config, warnings = load_and_validate(ROOT / "pyproject.toml", check_module=True)
    assert warnings == []
    flat = flatten_dict(config["tool"]["flwr"]["app"]["config"])
    assert parse_run_config(flat) == RunConfig()


@pytest.mark.parametrize(
    ("component", "value"),
    [("serverapp", "ServerApp()"), ("clientapp", "ClientApp(mods=[contained, *MODS])")],
)
def test_apps_are_plain_assignments(flower_app: dict[str, Any], component: str, value: str) -> None:
    module, _, attribute = flower_app["components"][component].partition(":")
    tree = ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
    assignments = [
        ast.unparse(node)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == attribute
    ]
    assert assignments == [f"{attribute} = {value}"]
