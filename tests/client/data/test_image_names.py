"""Entries of the image column and the files that they mean."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.data import image_names
from client.data.image_names import NameMatches, match_names

IMAGES = Path("/data/CheXpert-v1.0-small")


def matched(
    entries: list[str], files: list[str], images: Path = IMAGES, table: Path | None = None
) -> NameMatches:
    return match_names(images, table or images / "train.csv", entries, files)


def files_of(entries: list[str], files: list[str], **places: Path) -> list[str | None]:
    found = matched(entries, files, **places).file_of
    return [files[found[entry]] if entry in found else None for entry in entries]


@pytest.mark.parametrize(
    ("entry", "file"),
    [
        ("CheXpert-v1.0-small/train/p1/view1.jpg", "train/p1/view1.jpg"),
        ("/data/CheXpert-v1.0-small/train/p1/view1.jpg", "train/p1/view1.jpg"),
        ("data/CheXpert-v1.0-small/train/p1/view1.jpg", "train/p1/view1.jpg"),
        ("chexpert-V1.0-small/train/p1/view1.JPG", "train/p1/view1.jpg"),
        ("IMG.PNG", "img.png"),
        ("img.dcm", "img.DCM"),
        ("img.dcm", "img.dicom"),
        ("img.dcm", "IMG.ima"),
        ("img.jpg", "img.JPEG"),
        ("IMG", "img.png"),
        ("a/img", "a/img.png"),
        ("D:\\export\\images\\img.png", "img.png"),
        ("D:\\export\\a\\img.PNG", "a/img.png"),
        ("\\\\server\\share\\a\\img.dcm", "a/img.dicom"),
        ("//server/share/img.png", "img.png"),
        ("file:///C:/x/img.png", "img.png"),
        (unicodedata.normalize("NFC", "Mü.png"), unicodedata.normalize("NFD", "Mü.png")),
        ("STRASSE.png", "straße.png"),
        (".\\a\\img.png", "a/img.png"),
        ("my%20img.png", "my img.png"),
        ('"img.png"', "img.png"),
        ("'D:\\x\\img.PNG'", "img.png"),
    ],
)
def test_it_is_the_file_that_was_meant(entry: str, file: str) -> None:
    assert files_of([entry], [file, "other.gif"]) == [file]


@pytest.mark.parametrize(
    ("entries", "files", "expected"),
    [
        # Each its own, however alike.
        (["a.png", "A.png"], ["A.png", "a.png"], ["a.png", "A.png"]),
        # One file, two names that nearly fit: nobody knows.
        (["A.PNG", "A.Png"], ["a.png"], [None, None]),
        (["a.png", "A.PNG"], ["a.png"], ["a.png", None]),
        # Two files nearly of the name.
        (["IMG.png"], ["img.png", "Img.png"], [None]),
        (["x.dcm"], ["x.dicom", "x.ima"], [None]),
        # The exact suffix before a related one.
        (["x.dcm"], ["x.dicom", "x.dcm"], ["x.dcm"]),
        # Another format is not the same file.
        (["x.png"], ["x.dcm"], [None]),
        # Foreign folders of two patients, one file: whose is it?
        (["D:\\P1\\1.png", "D:\\P2\\1.png"], ["1.png"], [None, None]),
        (["D:\\P1\\1.png"], ["P2/1.png"], [None]),
        # Where folders lead to files, those of others lead elsewhere.
        (["train/1.png", "valid/2.png"], ["train/1.png", "2.png"], ["train/1.png", None]),
        (["D:\\x\\a\\1.png", "D:\\x\\b\\1.png"], ["a/1.png", "b/1.png"], ["a/1.png", "b/1.png"]),
    ],
)
def test_no_guess_where_two_files_or_two_entries_are_left(
    entries: list[str], files: list[str], expected: list[str | None]
) -> None:
    assert files_of(entries, files) == expected


def test_paths_from_the_tables_own_folder() -> None:
    images, table = Path("/data/site/images"), Path("/data/site/tables/l.csv")
    assert files_of(["../images/a/1.png"], ["a/1.png"], images=images, table=table) == ["a/1.png"]
    inside = Path("/data/site/images/a/l.csv")
    assert files_of(["b/1.png"], ["a/b/1.png", "c/b/1.png"], images=images, table=inside) == [
        "a/b/1.png"
    ]


@pytest.mark.parametrize(
    ("entry", "files", "reason", "example"),
    [
        ("gone.png", ["other.png"], image_names.NO_FILE, ""),
        ("D:\\P1\\1.png", ["P2/1.png"], image_names.ELSEWHERE, "P2/1.png"),
        ("x.png", ["x.dcm"], image_names.OTHER_FORMAT, "x.dcm"),
        ("7.png", ["007.png"], image_names.ZEROS, "007.png"),
        ("45.0", ["45.png"], image_names.ZEROS, "45.png"),
        ("1e5", ["100000.png"], image_names.ZEROS, "100000.png"),
        ("IMG.png", ["img.png", "Img.png"], image_names.SEVERAL, "img.png"),
        ("IMG_O7.png", ["IMG-07.png", "IMG-08.png"], image_names.LIKELY, "IMG-07.png"),
        ("img7.png", ["img (1).png", "img007 (2).png"], image_names.LIKELY, "img007 (2).png"),
        (
            "raediograph3.dcm",
            ["radiograph3.dcm", "radiograph4.dcm"],
            image_names.LIKELY,
            "radiograph3.dcm",
        ),
        # Another number is another image.
        ("IMG06.png", ["IMG07.png", "IMG16.png"], image_names.NO_FILE, ""),
        # Which of two?
        ("IMG_7.png", ["IMG-7.png", "IMG7.png"], image_names.NO_FILE, ""),
    ],
)
def test_what_is_not_matched_is_explained(
    entry: str, files: list[str], reason: str, example: str
) -> None:
    assert matched([entry], files).unmatched == {entry: (reason, example)}


NAMES = st.lists(
    st.text("aAäÄ./", min_size=1, max_size=4).filter(lambda t: t.strip("./")), max_size=6
)


@given(NAMES, NAMES)
def test_an_exact_name_wins_and_others_share_no_file(entries: list[str], files: list[str]) -> None:
    files = [f"{name.strip('./')}.png" for name in files]
    files = sorted({name for name in files if "//" not in name and "/." not in name})
    found = matched(entries, files)
    assert not found.file_of.keys() & (found.unmatched.keys() | found.ambiguous.keys())
    known = found.file_of.keys() | found.unmatched.keys() | found.ambiguous.keys()
    assert known == set(entries)
    for entry in entries:
        if entry in files:
            assert files[found.file_of[entry]] == entry
    loose = [number for entry, number in found.file_of.items() if "png" not in entry.lower()]
    for number in set(loose):
        same = [entry for entry, other in found.file_of.items() if other == number]
        assert len({entry.removeprefix("./") for entry in same}) <= 2
