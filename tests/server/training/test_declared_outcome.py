"""What a simulation predicts, as its site folders declare it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from server.training.declared_outcome import declared_by_sites, named_by_sites
from shared.errors import SiteError
from shared.settings.parse import parse_run_config

WriteSite = Callable[..., Path]
CLASSES = """
[data.classes]
none = ["well"]
severe = ["sick"]
"""


@pytest.fixture
def north(tmp_path: Path, write_site: WriteSite) -> Path:
    return write_site(tmp_path, "north", 2)


@pytest.fixture
def graded(tmp_path: Path, write_site: WriteSite) -> Path:
    """A site of two classes instead of a finding."""
    folder = write_site(tmp_path, "graded", 2)
    file = folder / "site.toml"
    kept = [line for line in file.read_text().splitlines() if "tive = " not in line]
    file.write_text("\n".join(kept) + CLASSES)
    return folder


def test_the_outcome_is_that_of_the_folders(north: Path, graded: Path) -> None:
    assert declared_by_sites([north]) == declared_by_sites([]) == "binary"
    assert declared_by_sites([graded, graded]) == "classes: none | severe"


def test_folders_that_differ_are_named(north: Path, graded: Path) -> None:
    with pytest.raises(SiteError, match="north has 'binary', graded has 'classes: none"):
        declared_by_sites([north, graded])


def test_the_finding_is_the_folders_unless_it_is_set(north: Path) -> None:
    sites = {"sites": os.fspath(north)}
    assert named_by_sites(parse_run_config(sites)) == "sick (outcome)"
    assert named_by_sites(parse_run_config(sites | {"finding": "BPD"})) == ""
    assert named_by_sites(parse_run_config({})) == ""
