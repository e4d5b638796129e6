"""Folders of images for each class, as they come from a Mac, a network drive or an archive."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from client.settings import load_site

Here = Callable[..., tuple[int, str, str]]


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), "red").save(root / name)
    return root


def classes_in(site: Path) -> list[str]:
    with (site / "labels.csv").open(encoding="utf-8", newline="") as file:
        return [row["class"] for row in csv.DictReader(file)]


def test_a_macs_names_are_the_classes_of_other_sites(tmp_path: Path, here: Here) -> None:
    """A Mac writes the accents of file names apart (NFD), others composed (NFC)."""
    declared = []
    for form in ("NFC", "NFD"):
        names = [unicodedata.normalize(form, name) for name in ("Ödem", "Zyste", "normal")]
        root = fill(tmp_path / form, *(f"{name}/{n}.png" for name in names for n in range(2)))
        assert here("site", "import", tmp_path / f"site-{form}", root)[0] == 0
        declared.append(load_site(tmp_path / f"site-{form}").encoding)
        assert classes_in(tmp_path / f"site-{form}") == ["Zyste", "normal", "Ödem"] * 2
    assert declared[0] == declared[1]
    assert str(declared[0].outcome) == "classes: Zyste | normal | Ödem"


def test_one_class_in_two_folders_is_one_class(tmp_path: Path, here: Here) -> None:
    names = [unicodedata.normalize(form, "Ödem") for form in ("NFC", "NFD")]
    root = fill(tmp_path / "all", *(f"{name}/a.png" for name in names), "normal/a.png")
    assert here("site", "import", tmp_path / "site", root)[0] == 0
    assert sorted(classes_in(tmp_path / "site")) == ["normal", "Ödem", "Ödem"]


def test_classes_are_chosen_and_named_however_accents_are_typed(tmp_path: Path, here: Here) -> None:
    apart = unicodedata.normalize("NFD", "Ödem")
    root = fill(tmp_path / "all", "Ödem/a.png", "normal/a.png")
    assert here("site", "import", tmp_path / "one", root, "--classes", apart)[0] == 0
    assert here("site", "import", tmp_path / "two", root, "--names", f"x,{apart}")[0] == 0
    assert classes_in(tmp_path / "one") == ["Ödem"]
    assert classes_in(tmp_path / "two") == ["x", "Ödem"]


@pytest.mark.parametrize("litter", ["@eaDir", "__MACOSX", "#recycle", "lost+found", ".cache"])
def test_what_systems_leave_is_no_class(tmp_path: Path, here: Here, litter: str) -> None:
    """A network drive's thumbnails among them."""
    root = fill(tmp_path / "all", "a/1.png", "b/1.png", "c/1.png", f"{litter}/1.png/THUMB.jpg")
    assert here("site", "import", tmp_path / "site", root)[0] == 0
    assert classes_in(tmp_path / "site") == ["a", "b", "c"]
    assert str(load_site(tmp_path / "site").encoding.outcome) == "classes: a | b | c"


def test_the_parts_of_a_data_set_are_no_classes(tmp_path: Path, here: Here) -> None:
    root = fill(tmp_path / "all", "train/a/1.png", "val/a/2.png", "test/b/3.png")
    code, _, error = here("site", "import", tmp_path / "site", root)
    assert (code, "are parts of a data set (test, train, val), not classes" in error) == (2, True)
    assert not (tmp_path / "site").exists()
