"""Defaults on the pages are those of the code, where each is written once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from client.settings import SiteSettings, load_site
from shared.settings.config import RunConfig

DOCS = Path(__file__).parents[2] / "docs"
IN_WORDS = {"empty": "", "all cores": 0}


@pytest.fixture
def defaults(tmp_path: Path) -> SiteSettings:
    """Of a site whose site.toml leaves out all that it may."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels.csv").write_text("patient,outcome\n", encoding="utf-8")
    (tmp_path / "site.toml").write_text(
        '[site]\nname = "a"\n[data]\nimages = "images"\nlabels = "labels.csv"\n'
        'patient = "patient"\noutcome = "outcome"\npositive = ["yes"]\nnegative = ["no"]\n',
        encoding="utf-8",
    )
    return load_site(tmp_path)


@pytest.mark.parametrize(
    ("key", "of"),
    [
        ("frontal-chest-only", lambda site: site.frontal_chest_only),
        ("device", lambda site: site.device),
        ("features", lambda site: site.features_limit / 1e9),
        ("min-cell", lambda site: site.min_cell),
        ("max-rejected", lambda site: site.max_rejected),
        ("sandbox", lambda site: site.sandbox),
        ("max-megapixels", lambda site: site.maximum_pixels / 1e6),
    ],
)
def test_the_page_of_a_site_has_the_defaults(
    key: str, of: Callable[[SiteSettings], object], defaults: SiteSettings
) -> None:
    section = (DOCS / "site.md").read_text(encoding="utf-8").split("## What a site provides")[1]
    (line,) = re.findall(rf"^({key} = .+?) *(?:#.*)?$", section, re.M)
    assert tomllib.loads(line)[key] == of(defaults)


def test_the_page_of_settings_has_the_defaults() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    said = {
        key: default.strip("`").removesuffix(" (off)")
        for keys, defaults in re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|", page, re.M)
        for key, default in zip(re.findall(r"`([^`]+)`", keys), defaults.split(", "), strict=True)
    }
    known = RunConfig().to_flat()
    assert len(said) > 15
    assert {key: _value(text, known[key]) for key, text in said.items()} == {
        key: known[key] for key in said
    }


def _value(text: str, like: bool | float | str) -> object:
    if isinstance(like, bool):
        return {"true": True, "false": False}[text]
    return IN_WORDS[text] if text in IN_WORDS else type(like)(text)
