"""What is said of a folder without a site's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.site_file import FILE_NAME, read_site_file
from shared.errors import SiteError


def said_of(folder: Path) -> str:
    with pytest.raises(SiteError) as refused:
        read_site_file(folder / FILE_NAME)
    return str(refused.value)


def test_a_folder_of_sites_is_no_site(tmp_path: Path) -> None:
    assert "`fedthaw site new` proposes one" in said_of(tmp_path)
    for name in ("west", "north"):
        (tmp_path / name).mkdir()
        (tmp_path / name / FILE_NAME).touch()
    (tmp_path / "images").mkdir()
    said = said_of(tmp_path)
    assert said.endswith("is missing; folders in it have one (north, west), so name those.")
    assert "site new" not in said


def test_of_many_sites_the_first_are_named(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"s{number:02d}").mkdir()
        (tmp_path / f"s{number:02d}" / FILE_NAME).touch()
    assert "(s00, s01, s02, s03, s04, ...)" in said_of(tmp_path)
