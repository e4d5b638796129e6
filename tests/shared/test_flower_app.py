"""The repository is a Flower app: its defaults, its components and who imports whom."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flwr.cli.config_utils import load_and_validate
from flwr.common.config import flatten_dict

from shared.config import RunConfig, parse_run_config

ROOT = Path(__file__).parents[2]
PACKAGES = ("shared", "client", "server")
MAY_IMPORT = {"shared": {"shared"}, "client": {"client", "shared"}, "server": {"server", "shared"}}


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


def imported_packages(source: str) -> Iterator[str]:
    """Top-level packages that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the direction"
            yield (node.module or "").partition(".")[0]


def test_imports_are_found_wherever_they_stand() -> None:
    source = "import a.b, c\nfrom d.e import f\ndef g():\n  if 1:\n    from h import i\n"
    assert list(imported_packages(source)) == ["a", "c", "d", "h"]


def _modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_both_sides_know_only_what_they_share(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0]
    imported = set(imported_packages(path.read_text(encoding="utf-8")))
    assert imported & set(PACKAGES) <= MAY_IMPORT[own]
    assert "tests" not in imported


@pytest.mark.parametrize("package", ["client", "server"])
def test_what_flower_imports_first_imports_nothing(package: str) -> None:
    source = (ROOT / package / "__init__.py").read_text(encoding="utf-8")
    assert list(imported_packages(source)) == []


def test_all_packages_are_there() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in _modules()} == set(PACKAGES)
