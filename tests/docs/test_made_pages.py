"""What of docs/ is made by code is what the code makes today (`make pages`)."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKERS = ROOT / ".ci" / "docs"
DRAWINGS = runpy.run_path(str(MAKERS / "drawings.py"))["DRAWINGS"]


def test_the_page_of_settings_is_current() -> None:
    made = runpy.run_path(str(MAKERS / "configuration.py"))["page"]()
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == made


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_current(name: str) -> None:
    drawing = (ROOT / "docs" / "pictures" / name).read_text(encoding="utf-8")
    assert drawing == DRAWINGS[name]().svg()


def test_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs").rglob("*.*")}
    assert {name: size for name, size in sizes.items() if size > 300_000} == {}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
