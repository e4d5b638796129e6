"""Defaults on the pages are those of the code, where each is written once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from client.settings import SiteSettings, load_site
from shared.model.registry import former_settings
from shared.settings.config import RunConfig

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SET = {"OWN_SITES", "RUN_FOLDER", "RUN", "REASON", "STATE"}
INTERNAL = {f"FEDTHAW_{name}" for name in SET}
"""Variables that FedThaw sets: for its own processes, and for commands that are notified."""


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
    section = (DOCS / "data.md").read_text(encoding="utf-8").split("## All of site.toml")[1]
    (line,) = re.findall(rf"^({key} = .+?) *(?:#.*)?$", section, re.M)
    assert tomllib.loads(line)[key] == of(defaults)


def test_every_setting_is_on_its_page_with_its_default() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| `([^`]*)` \|", page, re.M))
    empty = set(re.findall(r"^\| `([a-z0-9-]+)` \| \(empty\) \|", page, re.M))
    known = {k: v for k, v in RunConfig().to_flat().items() if k not in former_settings()}
    assert rows.keys() | empty == known.keys()
    assert {key for key in known if known[key] == ""} == empty
    assert {key: _value(text, known[key]) for key, text in rows.items()} == {
        key: known[key] for key in rows
    }


def test_every_variable_of_the_environment_is_on_that_page() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(FEDTHAW_\w+)`", page))
    sources = [p for part in ("client", "server", "shared") for p in (ROOT / part).rglob("*.py")]
    texts = [path.read_text(encoding="utf-8") for path in sources]
    read = {name for text in texts for name in re.findall(r"\bFEDTHAW_[A-Z_]+", text)}
    assert read - named <= INTERNAL
    assert named <= read


def _value(text: str, like: bool | float | str) -> object:
    return {"true": True, "false": False}[text] if isinstance(like, bool) else type(like)(text)
