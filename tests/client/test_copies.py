"""Images at two sites of a simulation are noticed, however they came there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from client.copies import images_at_two_sites

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sites(tmp_path: Path, write_site: Callable[..., Path]) -> tuple[Path, Path, Path]:
    north, east, south = (
        write_site(tmp_path, name, 12, seed=seed)
        for seed, name in enumerate(("north", "east", "south"))
    )
    return north, east, south


def pictures(site: Path) -> list[Path]:
    return sorted((site / "images").iterdir())


def test_different_images_are_not_complained_of(sites: tuple[Path, ...]) -> None:
    assert images_at_two_sites(sites) == ()


def test_a_copy_and_a_link_are_found_under_other_names(sites: tuple[Path, ...]) -> None:
    north, east, south = sites
    shutil.copy(pictures(north)[0], east / "images" / "other.png")
    (one,) = images_at_two_sites(sites)
    assert one.startswith("1 image file is at both north and east.")
    (south / "images" / "linked.png").symlink_to(pictures(north)[1])
    (south / "images" / "again.png").symlink_to(pictures(north)[2])
    found = images_at_two_sites(sites)
    assert [sentence.partition(".")[0] for sentence in found] == [
        "1 image file is at both north and east",
        "2 image files are at both north and south",
    ]
    assert pictures(north)[0].name not in " ".join(found)


def test_one_folder_of_images_may_serve_several_tables(sites: tuple[Path, ...]) -> None:
    north, east, _ = sites
    shutil.rmtree(east / "images")
    (east / "images").symlink_to(north / "images")
    assert images_at_two_sites((north, east)) == ()


def test_a_simulation_warns_before_it_trains(
    here: Here, sites: tuple[Path, ...], tmp_path: Path
) -> None:
    north, east, _ = sites
    shutil.copy(pictures(north)[0], east / "images" / "other.png")
    words = ("--quick", "--set", "rounds=0", "--set", "probe-rounds=1", "--set", "threads=1")
    code, _, err = here("simulate", north, east, "--out", tmp_path / "run", *words)
    assert code == 0, err
    assert "1 image file is at both north and east." in err
