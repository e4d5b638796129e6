"""The bundle: the packages' code and nothing else, the same bytes from the same code."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import shutil
import tomllib
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.run import bundle as module
from shared.run.bundle import PACKAGES, build_bundle, to_toml, write_app_folder
from shared.settings.config import RunConfig
from shared.settings.setting import Scalar

ROOT = Path(module.__file__).parents[2]


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another installation of the same code."""
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )

    def find(name: str) -> object:
        return SimpleNamespace(origin=str(tmp_path / name / "__init__.py"))

    monkeypatch.setattr(importlib.util, "find_spec", find)
    return tmp_path


def test_the_digest_is_of_the_code_wherever_it_is_installed(copied: Path) -> None:
    first = build_bundle()
    assert first.digest == hashlib.sha256(first.content).hexdigest()
    for path in copied.rglob("*.py"):
        path.touch()
    assert build_bundle() == first
    with (copied / "client" / "app.py").open("a", encoding="utf-8") as code:
        code.write("# changed\n")
    assert build_bundle().digest != first.digest


def test_nothing_but_code_is_in_it(copied: Path) -> None:
    before = build_bundle()
    for name in ("patients.json", "notes.md", "labels.csv", "more.toml", "x.yaml"):
        (copied / "client" / name).write_text("{}", encoding="utf-8")
    assert build_bundle() == before
    with zipfile.ZipFile(io.BytesIO(before.content)) as archive:
        names = set(archive.namelist())
        project = tomllib.loads(archive.read("pyproject.toml").decode())
    code = {str(path.relative_to(copied)) for path in copied.rglob("*.py")}
    assert code <= names
    assert not any(name.startswith("fedthaw") for name in names)  # for notebooks, not for sites
    assert {name for name in names - code if not name.startswith(".info/")} == {"pyproject.toml"}
    assert project["tool"]["flwr"]["app"]["config"] == RunConfig().to_flat()


def test_the_app_folder_has_the_same_files(tmp_path: Path) -> None:
    write_app_folder(tmp_path)
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    own = {str(path.relative_to(ROOT)) for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    assert names == own | {"pyproject.toml"}


def test_settings_survive_toml() -> None:
    values: dict[str, Scalar] = {"a": 'quote " and \\ and ü\n', "b": True, "c": 1e-5, "d": -3}
    assert tomllib.loads(to_toml(values)) == values
