"""`fedthaw site new --from-folders`: a folder of images for each class, and no table."""

from __future__ import annotations

import csv
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client.proposal.folders import Folders, read_folders
from client.settings import SiteSettings, load_site
from shared.errors import SiteError
from shared.outcome.encoding import Encoding

Here = Callable[..., tuple[int, str, str]]


def values_of(settings: SiteSettings) -> tuple[tuple[str, ...], ...]:
    assert isinstance(settings.encoding, Encoding)
    return settings.encoding.values


def fill(root: Path, *paths: str) -> Path:
    for number, path in enumerate(paths):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (40, 40), np.uint8)
        Image.fromarray(pixels).save(file)
    return root


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Three patients of each class, the first of each with two images; one image outside."""
    names = [f"{k}/{k[0]}{n}_{view}.png" for k in ("positive", "negative") for n in range(3)
             for view in ("a", "b")[: 2 if n == 0 else 1]]  # fmt: skip
    return fill(tmp_path / "chest", *names, "outside.png")


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_two_classes_with_a_pattern_can_be_trained_on(
    two: Path, tmp_path: Path, here: Here
) -> None:
    site = tmp_path / "north"
    code, out, err = here("site", "new", site, "--from-folders", two,
                          "--patient-pattern", r"(\w\d)_")  # fmt: skip
    assert (code, err) == (0, "")
    assert "positive (4)" in out
    assert "8 images of 6 patients, by the pattern." in out
    assert "1 image(s) lie in no folder of a class" in out
    settings = load_site(site)
    assert (settings.images, settings.patient, settings.image) == (two, "patient", "image")
    assert set(values_of(settings)) == {("negative",), ("positive",)}
    assert {(r["patient"], r["image"], r["class"]) for r in rows(site / "labels.csv")} == {
        (path.name.partition("_")[0], f"{path.parent.name}/{path.name}", path.parent.name)
        for path in two.glob("*/*.png")
    }
    code, out, _ = here("site", "check", site, "--image-size", 32)
    assert (code, "8 of 6 patients" in out) == (0, True)


def test_without_a_pattern_each_image_is_a_patient_and_it_is_said_loudly(
    two: Path, tmp_path: Path, here: Here
) -> None:
    site = tmp_path / "north"
    assert here("site", "new", site, "--from-folders", two, "--print")[0] == 0
    assert not site.exists()
    code, out, _ = here("site", "new", site, "--from-folders", two)
    assert code == 0
    assert "EACH IMAGE COUNTS AS A PATIENT: 8." in out
    assert load_site(site).patient == "image"
    (site / "site.toml").unlink()
    code, _, err = here("site", "new", site, "--from-folders", two, "--patient-pattern", "(..)_")
    assert (code, "already exists and is another table" in err) == (2, True)


def test_more_folders_are_classes_unless_it_is_said_which_are_positive(
    tmp_path: Path, here: Here
) -> None:
    root = fill(tmp_path / "chest", *(f"{k}/{k}{n}.png" for k in ("viral", "normal", "tb")
                                      for n in range(2)))  # fmt: skip
    site = tmp_path / "north"
    code, out, err = here("site", "new", site, "--from-folders", root)
    assert (code, err, "uncomment `ordinal = true`" in out) == (0, "", True)
    assert len(rows(site / "labels.csv")) == 6
    found = load_site(site)
    assert str(found.encoding.outcome) == "classes: normal | tb | viral"
    assert values_of(found) == (("normal",), ("tb",), ("viral",))
    text = (site / "site.toml").read_text()
    assert "# ordinal = true" in text
    (site / "site.toml").write_text(text.replace("# ordinal", "ordinal"))
    assert str(load_site(site).encoding.outcome) == "ordinal: normal | tb | viral"
    (site / "site.toml").unlink()
    code, out, _ = here("site", "new", site, "--from-folders", root, "--positive", "tb")
    assert (code, "All other values count as negative: " in out) == (0, True)
    assert {("tb",), ("viral", "normal")} == {
        tuple(sorted(own, reverse=True)) for own in values_of(load_site(site))
    }


def test_a_macs_names_are_the_classes_of_other_sites(tmp_path: Path, here: Here) -> None:
    """A Mac writes the accents of names apart (NFD); one folder may have been copied from it."""
    apart = unicodedata.normalize("NFD", "Ödem")
    names = [f"{k}/{n}.png" for n in range(2) for k in (apart, "normal", "Zyste")]
    root = fill(tmp_path / "chest", *names, "Ödem/9.png")
    code, out, err = here("site", "new", tmp_path / "north", "--from-folders", root)
    assert (code, err, "Ödem (3)" in out) == (0, "", True)
    assert load_site(tmp_path / "north").encoding.outcome.names == ("normal", "Ödem", "Zyste")
    code, out, _ = here("site", "check", tmp_path / "north", "--image-size", 32)
    assert (code, "7 of 7 patients" in out) == (0, True)


def test_dicom_files_say_their_patients(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.proposal.folders.read_patient_ids",
                        lambda root, files: {one: one[-7:-5] for one in files})  # fmt: skip
    found = read_folders(two, None)
    assert isinstance(found, Folders)
    assert found.patients is not None
    assert any("by the DICOM files' Patient IDs" in said for said in found.remarks())
    monkeypatch.setattr("client.proposal.folders.read_patient_ids",
                        lambda root, files: dict.fromkeys(files))  # fmt: skip
    assert read_folders(two, None).patients is None


def test_a_folder_whose_name_begins_with_a_blank(tmp_path: Path, here: Here) -> None:
    root = fill(tmp_path / "chest", *(f"{k}/ {n}.png" for k in (" yes", "no ") for n in range(2)))
    assert here("site", "new", tmp_path / "north", "--from-folders", root)[0] == 0
    code, out, _ = here("site", "check", tmp_path / "north", "--image-size", 32)
    assert (code, "4 of 4 patients" in out) == (0, True)


@pytest.mark.parametrize(
    ("identifiers", "said"),
    [
        (["P1", "P1", "P2", ""], r"1 of 4 images have no DICOM Patient ID.*share one"),
        (["P1", "P2", "P3", "M\udcfcller"], r"1 image\(s\) have a Patient ID with control"),
        (["P1", "P2", "P\0003", "P\n4"], r"2 image\(s\) have a Patient ID with control"),
        (["P1", "P2", "P3", ""], None),
        (["ANON", "ANON", "", ""], None),
    ],
)
def test_patient_ids_that_would_split_patients_or_a_table_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, identifiers: list[str], said: str | None
) -> None:
    root = fill(tmp_path / "chest", "a/1.png", "a/2.png", "b/3.png", "b/4.png")
    monkeypatch.setattr("client.proposal.folders.read_patient_ids",
                        lambda root, files: dict(zip(files, identifiers, strict=True)))  # fmt: skip
    if said is None:
        assert read_folders(root, None).patients is None
        return
    with pytest.raises(SiteError, match=said):
        read_folders(root, None)
    assert read_folders(root, r"\d").patients is not None


@pytest.mark.parametrize(
    ("paths", "pattern", "said"),
    [
        (("train/a/1.png", "test/a/2.png"), None, "parts of a data set .test, train., not classes"),
        (("a/1.png", "2.png"), None, "there is only 'a'"),
        (("1.png",), None, "there is none"),
        (("a/1.png", "b/2.png"), "(", "not a regular expression"),
        (("a/1.png", "b/x.png"), r"\d+", "no patient in 1 of 2 names, such as 'b/x.png'"),
        (tuple(f"{k}/IMG{n}.png" for k in "ab" for n in range(3)), "(IMG)",
         r"1 patient\(s\) in 6 images"),
        (("a/1\n.png", "b/2.png"), None, "1 image.s. have names with control characters"),
        (("a/1\udcff.png", "b/2.png"), None, "bytes that are not UTF-8"),
    ],
)  # fmt: skip
def test_what_is_no_folder_of_classes(
    tmp_path: Path, paths: tuple[str, ...], pattern: str | None, said: str
) -> None:
    with pytest.raises(SiteError, match=said):
        read_folders(fill(tmp_path / "root", *paths), pattern)


def test_options_that_contradict_each_other(two: Path, here: Here, tmp_path: Path) -> None:
    code, _, err = here("site", "new", tmp_path / "n", "--from-folders", two, "--image", "x")
    assert (code, "takes the place of a table" in err) == (2, True)
    code, _, err = here("site", "new", tmp_path / "n", "--patient-pattern", "x")
    assert (code, "--patient-pattern is for --from-folders" in err) == (2, True)
    code, _, err = here("site", "new", tmp_path / "n", "--from-folders", tmp_path / "none")
    assert (code, "There is no folder" in err) == (2, True)
    assert not os.path.lexists(tmp_path / "n")
