"""The Flower app as a folder, made from the installed packages.

`flwr run` wants a project folder; an installed FedThaw has none. What is not code stays out: Flower
would bundle any JSON or Markdown that lies there.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from importlib.metadata import version
from pathlib import Path

from shared.config import RunConfig, Scalar

PACKAGES = ("shared", "server", "client")


def write_app_folder(folder: Path) -> None:
    """Fill `folder` with the three packages' Python files and a pyproject.toml for Flower."""
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise FileNotFoundError(f"the package {package} is not installed")
        source = Path(spec.origin).parent
        for file in sorted(source.rglob("*.py")):
            target = folder / package / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    (folder / "pyproject.toml").write_text(_pyproject(), encoding="utf-8")


def to_toml(settings: dict[str, Scalar]) -> str:
    """Settings as lines of TOML; JSON's scalars are TOML's."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())


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
