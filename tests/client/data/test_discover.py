from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from client.data.discover import count_left_out, find_images
from client.imaging.format import image_format
from shared.errors import SiteError

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff\xe0"
DICOM = bytes(128) + b"DICM"


def fill(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_images(folder)]


def test_images_are_found_by_content_and_broken_ones_by_suffix(tmp_path: Path) -> None:
    images = {
        "b/1.2.840.10008": DICOM,
        "b/no-suffix": PNG,
        "a.jpg": JPEG,
        "a/z.dat": JPEG,
        "broken.dcm": b"garbage",
        "empty.PNG": b"",
        "film.tiff": b"II*\x00",
    }
    others = {
        "labels.csv": b"patient,file\n",
        "notes.txt": b"text",
        "empty": b"",
        ".hidden.png": PNG,
        "._a.jpg": JPEG,
        ".cache/a.png": PNG,
        "Thumbs.db": PNG,
        "b/DICOMDIR": DICOM,
        "__MACOSX/a.png": PNG,
    }
    fill(tmp_path, images | others)
    assert names(tmp_path) == sorted(images)


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    images = tmp_path / "images"
    fill(tmp_path, {"images/a/1.png": PNG, "elsewhere/2.png": PNG})
    (images / "a" / "loop").symlink_to(images)
    (images / "linked").symlink_to(tmp_path / "elsewhere")
    (images / "3.png").symlink_to(tmp_path / "elsewhere" / "2.png")
    (images / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert names(images) == ["3.png", "a/1.png", "gone.png", "linked/2.png"]


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_listed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, {"closed/a.png": PNG})
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SiteError, match=r"closed cannot be listed \(Permission denied\); give"):
        find_images(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a", DICOM, "DICOM"),
        ("a.dcm", JPEG, "JPEG"),
        ("a.dcm", b"\x08\x00\x05\x00", "DICOM"),
        ("a.DCM", b"x", "DICOM"),
        ("a.dcm", b"", None),
        ("a.png", b"x", None),
    ],
)
def test_format_by_first_bytes(
    tmp_path: Path, name: str, content: bytes, expected: str | None
) -> None:
    fill(tmp_path, {name: content})
    assert image_format(tmp_path / name) == expected


def test_a_dicom_file_without_suffix_is_found(
    tmp_path: Path, write_dicom: Callable[..., Path], ramp: Callable[..., NDArray[Any]]
) -> None:
    write_dicom(ramp(), 12, name="IM000001")
    assert names(tmp_path) == ["IM000001"]


def test_what_systems_and_storage_leave_is_left_out_and_counted(tmp_path: Path) -> None:
    good = ["P1/a.png", "P2/a.png", "@home/b.png", "thumbs/c.png"]
    litter = {
        "@eaDir": ["P1/@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg", "@eaDir/x.png"],
        "#recycle": ["#recycle/a.png", "#recycle/deep/b.png"],
        "@tmp": ["@tmp/a.png"],
        "$RECYCLE.BIN": ["$RECYCLE.BIN/S-1/a.png"],
        "lost+found": ["lost+found/a.png"],
        "__MACOSX": ["__MACOSX/P1/._a.png"],
        "Thumbs.db": ["P1/Thumbs.db"],
        "hidden": [".AppleDouble/a.png", "P2/._a.png", ".Trash-1000/files/a.png", ".DS_Store"],
    }
    everything = [*good, *(name for inside in litter.values() for name in inside)]
    fill(tmp_path, dict.fromkeys(everything, PNG))
    assert names(tmp_path) == sorted(good)
    assert count_left_out(tmp_path) == {name: len(names) for name, names in sorted(litter.items())}


def test_a_waste_folder_that_may_not_be_read_stops_nothing(tmp_path: Path) -> None:
    fill(tmp_path, {"a.png": PNG})
    (tmp_path / "lost+found").mkdir(mode=0)
    assert names(tmp_path) == ["a.png"]
    assert count_left_out(tmp_path) == {}


def test_links_to_devices_and_pipes_are_not_read(tmp_path: Path) -> None:
    """They end never; a link that leads nowhere is a lost image."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "piped.dcm").symlink_to(tmp_path / "pipe.png")
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere.png")
    assert names(tmp_path) == ["lost.png"]


def test_a_link_that_cannot_be_followed_is_a_lost_image(tmp_path: Path) -> None:
    """As one into a folder that this user may not enter; here its name is too long."""
    fill(tmp_path, {"a.png": PNG})
    (tmp_path / "closed.png").symlink_to("x" * 300)
    (tmp_path / "closed").symlink_to("x" * 300)
    assert names(tmp_path) == ["a.png", "closed.png"]
