"""Hand-made files for the tests of the data path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from client.settings import SiteSettings, load_site

SITE = """
[site]
name = "north"
[data]
images = "images"
labels = "labels.csv"
patient = "patient"
outcome = "grade"
positive = ["severe"]
negative = ["none"]
{data}
[compute]
cache = "cache"
{more}
"""


@pytest.fixture
def fill(tmp_path: Path, write_png: Callable[[Path, int], Path]) -> Callable[..., None]:
    """Write differing PNG files of these names into the images folder."""

    def write(*names: str) -> None:
        for seed, name in enumerate(names):
            write_png(tmp_path / "images" / name, seed)

    return write


@pytest.fixture
def make_site(tmp_path: Path) -> Callable[..., SiteSettings]:
    """A site folder with this table and these further lines of site.toml, loaded."""

    def make(table: str, data: str = 'image = "file"', more: str = "") -> SiteSettings:
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "labels.csv").write_text(table, encoding="utf-8")
        (tmp_path / "site.toml").write_text(SITE.format(data=data, more=more), encoding="utf-8")
        return load_site(tmp_path)

    return make
