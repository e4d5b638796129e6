"""A newcomer follows docs/getting-started.md in a clean folder and a clean virtual environment."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGE = "docs/getting-started.md"
ROOT = Path(__file__).parents[2]
SOURCES = ("shared", "client", "server", "fedthaw", "pyproject.toml", "README.md", "LICENSE")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def newcomer(tmp_path: Path, reader: Callable[..., Any]) -> Any:
    """Somebody who has the sources and a Python, and no `fedthaw`."""
    folder, programs = tmp_path / "work", tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(Path(sys.executable).resolve())
    for name in SOURCES:
        source, target = ROOT / name, folder / "fedthaw" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    path = f"{folder / 'env' / 'bin'}:{programs}:/usr/bin:/bin"
    # The dependencies are those of this environment; nothing is downloaded.
    return reader(folder, PATH=path, PIP_NO_INDEX="1", PIP_NO_BUILD_ISOLATION="0")


def lend_dependencies(folder: Path) -> None:
    """Let a new virtual environment see the packages of this one, but not its `fedthaw`."""
    (place,) = (folder / "env" / "lib").glob("python3*/site-packages")
    for own in [*place.glob("*setuptools*"), *place.glob("*distutils*")]:  # too old to build with
        shutil.rmtree(own) if own.is_dir() else own.unlink()
    (place / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")


def test_from_a_table_and_images_to_a_report(
    newcomer: Any, blocks: Callable[[str], list[Any]], unlike: Callable[[str, str], list[str]]
) -> None:
    folder, output, outputs, compared = newcomer.folder, "", [], 0
    for block in blocks(PAGE):
        if block.runs:
            output = newcomer.run(block)
            outputs.append(output)
            if "venv env" in block.text:
                lend_dependencies(folder)
        elif block.language == "text":
            assert unlike(block.text, output) == [], f"{block}\n{output}"
            compared += 1
    assert compared >= 3
    installed = list((folder / "env" / "lib").glob("python3*/site-packages/server/app.py"))
    assert len(installed) == 1  # what ran is what was installed there
    assert "<!doctype html>" in (folder / "runs/first/report.html").read_text()[:100].lower()
    lines = (folder / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 50
