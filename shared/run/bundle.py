"""The Flower app bundle (FAB), made from the installed packages.

Flower wants a project folder; an installed FedThaw has none. What is not code stays out: Flower
would bundle any JSON or Markdown that lies there. Two machines with the same fedthaw make the same
bytes, so a site's owner can tell whether a bundle is the code that is installed there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from shared.errors import FedThawError
from shared.settings.config import RunConfig
from shared.settings.setting import Scalar

PACKAGES = ("shared", "server", "client")


@dataclass(frozen=True)
class Bundle:
    """A Flower app bundle and its SHA-256, 64 lower-case hexadecimal digits."""

    content: bytes
    digest: str


def build_bundle() -> Bundle:
    """The bundle of the packages that are installed here."""
    from flwr.cli.build import build_fab_from_files

    files: dict[str, bytes | Path] = {name: file.read_bytes() for name, file in _code().items()}
    files["pyproject.toml"] = _pyproject().encode("utf-8")
    with warnings.catch_warnings():
        # Flower 1.41 filters files by a kind of pattern whose library calls it by another name now.
        warnings.simplefilter("ignore", DeprecationWarning)
        content, _ = build_fab_from_files(files)
    return Bundle(content, hashlib.sha256(content).hexdigest())


def write_app_folder(folder: Path) -> None:
    """Fill `folder` with the three packages' Python files and a pyproject.toml for Flower."""
    for name, file in _code().items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    (folder / "pyproject.toml").write_text(_pyproject(), encoding="utf-8")


def to_toml(settings: dict[str, Scalar]) -> str:
    """Settings as lines of TOML; JSON's scalars are TOML's."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())


def _code() -> dict[str, Path]:
    """The packages' Python files by their name in the bundle."""
    found: dict[str, Path] = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise FedThawError(
                f"The package {package} is not installed; reinstall fedthaw with pip."
            )
        source = Path(spec.origin).parent
        for file in sorted(source.rglob("*.py")):
            found[f"{package}/{file.relative_to(source).as_posix()}"] = file
    return found


def _pyproject() -> str:
    return f"""[project]
name = "fedthaw"
version = "{version("fedthaw")}"
description = "FedThaw"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "fedthaw"
fab-include = ["server/**/*.py", "client/**/*.py", "shared/**/*.py"]

[tool.flwr.app.components]
serverapp = "server.app:app"
clientapp = "client.app:app"

[tool.flwr.app.config]
{to_toml(RunConfig().to_flat())}"""
