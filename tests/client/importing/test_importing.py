"""IDX and CIFAR files against the bytes that their formats say, and whatever else lies there."""

from __future__ import annotations

import csv
import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from client.importing.write import read_labelled_images
from client.settings import load_site
from shared.errors import SiteError

Here = Callable[..., tuple[int, str, str]]
BESIDE = Path(__file__).parents[4] / "shared" / "data" / "mnist"


def idx(values: NDArray[np.uint8]) -> bytes:
    return (
        bytes([0, 0, 8, values.ndim])
        + struct.pack(f">{values.ndim}I", *values.shape)
        + (values.tobytes())
    )


def cifar(labels: list[list[int]], pixels: NDArray[np.uint8]) -> bytes:
    """Red, green and blue planes behind each image's labels."""
    return b"".join(
        bytes(own) + b"".join(image[..., c].tobytes() for c in range(3))
        for own, image in zip(labels, pixels, strict=True)
    )


@pytest.fixture
def digits(tmp_path: Path) -> tuple[Path, Path, NDArray[np.uint8]]:
    """Six images of classes 0 to 2: the images compressed, the labels not."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 7), dtype=np.uint8)
    images, labels = tmp_path / "images.gz", tmp_path / "labels"
    images.write_bytes(gzip.compress(idx(pixels)))
    labels.write_bytes(idx(np.array([0, 1, 2, 0, 1, 2], dtype=np.uint8)))
    return images, labels, pixels


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_idx_becomes_a_sites_folder(
    tmp_path: Path, digits: tuple[Path, Path, NDArray[np.uint8]], here: Here
) -> None:
    images, labels, pixels = digits
    out = tmp_path / "site"
    code, said, _ = here("site", "import", out, labels, images, "--names", "nil,one,two")
    assert code == 0
    assert "class nil: 2" in said
    rows = rows_of(out)
    assert [row["class"] for row in rows] == ["nil", "one", "two"] * 2
    assert len({row["patient"] for row in rows}) == 6
    for row, wanted in zip(rows, pixels, strict=True):
        found = np.asarray(Image.open(out / "images" / row["image"]))
        assert found.shape == (32, 32)
        assert np.array_equal(found[11:20, 12:19], wanted)  # 9 x 7, in the middle
        assert found.sum(dtype=int) == wanted.sum(dtype=int)


def test_some_classes_and_some_pictures(
    tmp_path: Path, digits: tuple[Path, Path, NDArray[np.uint8]], here: Here
) -> None:
    images, labels, pixels = digits
    options = ("--classes", "0,2", "--skip", "1", "--most", "2")
    assert here("site", "import", tmp_path / "site", images, labels, *options)[0] == 0
    rows = rows_of(tmp_path / "site")
    assert [row["class"] for row in rows] == ["2", "0"]
    first = np.asarray(Image.open(tmp_path / "site" / "images" / rows[0]["image"]))
    assert np.array_equal(first[11:20, 12:19], pixels[2])


@pytest.mark.parametrize("labels", [[[3], [9]], [[1, 30], [2, 99]]], ids=["10", "100"])
def test_cifar_in_colour(tmp_path: Path, here: Here, labels: list[list[int]]) -> None:
    """CIFAR-100's fine labels, the second ones, are the classes."""
    pixels = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    file = tmp_path / "batch.bin"
    file.write_bytes(cifar(labels, pixels))
    assert here("site", "import", tmp_path / "site", file)[0] == 0
    rows = rows_of(tmp_path / "site")
    assert [int(row["class"]) for row in rows] == [own[-1] for own in labels]
    for row, wanted in zip(rows, pixels, strict=True):
        found = np.asarray(Image.open(tmp_path / "site" / "images" / row["image"]))
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (b"", "is not a multiple of CIFAR's"),
        (b"\x00\x00\x08\x03\x00\x00", "ends within its sizes"),
        (b"\x00\x00\x08\x00", "ends within its sizes"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "at most 4,294,967,296 are read"),
        (idx(np.zeros((2, 3, 3), np.uint8))[:-1], "announces 18 bytes and has 17"),
        (idx(np.zeros((2, 3, 3), np.uint8)) + b"x", "has more than the 18 bytes"),
        (idx(np.zeros((3, 3, 3), np.uint8)), "have 3 images and 2 labels"),
        (idx(np.zeros(2, np.uint8)), "are not one file of images"),
        (gzip.compress(idx(np.zeros((2, 3, 3), np.uint8)), mtime=0)[:-9], "cannot be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said(tmp_path: Path, here: Here, images: bytes, said: str) -> None:
    (tmp_path / "a").write_bytes(images)
    (tmp_path / "b").write_bytes(idx(np.zeros(2, np.uint8)))
    files = (tmp_path / "a", tmp_path / "b") if images else (tmp_path / "a",)
    code, _, error = here("site", "import", tmp_path / "site", *files)
    assert code == 2
    assert said in error
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--classes", "7"), "No image is left"),
        (("--classes", "cat"), "--classes has 'cat'"),
        (("--classes", "1.5"), "--classes has '1.5'"),
        (("--names", "a,,b"), "give each class a name of its own"),
        (("--skip", "6"), "No image is left"),
    ],
)
def test_a_wrong_choice_is_refused(
    tmp_path: Path, digits: tuple[Path, Path, NDArray[np.uint8]], here: Here,
    options: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    code, _, error = here("site", "import", tmp_path / "site", *digits[:2], *options)
    assert (code, said in error) == (2, True)


def test_nothing_is_written_over(
    tmp_path: Path, digits: tuple[Path, Path, NDArray[np.uint8]], here: Here
) -> None:
    assert here("site", "import", tmp_path / "site", *digits[:2])[0] == 0
    before = (tmp_path / "site" / "labels.csv").read_bytes()
    code, _, error = here("site", "import", tmp_path / "site", *digits[:2], "--most", "1")
    assert (code, "already exists" in error) == (2, True)
    assert (tmp_path / "site" / "labels.csv").read_bytes() == before


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(content=st.binary(max_size=80), compressed=st.booleans())
def test_no_bytes_are_more_than_refused(tmp_path: Path, content: bytes, compressed: bool) -> None:
    file, labels = tmp_path / "a", tmp_path / "b"
    content = b"\x00\x00\x08" + content
    file.write_bytes(gzip.compress(content) if compressed else content)
    labels.write_bytes(idx(np.zeros(1, np.uint8)))
    try:
        images = read_labelled_images([file, labels])
    except SiteError:
        return
    assert images.pixels.shape[0] == len(images.labels) == 1


@pytest.mark.skipif(not BESIDE.is_dir(), reason="MNIST's files are not here")
def test_mnists_own_files() -> None:
    files = [BESIDE / f"t10k-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
    images = read_labelled_images(files)
    assert images.pixels.shape == (10_000, 28, 28)
    assert np.bincount(images.labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip


def test_a_folder_for_each_class(tmp_path: Path, here: Here) -> None:
    """The first of each class, then the second; colours as they are."""
    pixels = np.random.default_rng(3).integers(0, 256, (5, 32, 34, 3), dtype=np.uint8)
    names = ["dog/b.png", "dog/a.png", "cat/z.png", "cat/y.png", "dog/c.png"]
    for name, own in zip(names, pixels, strict=True):
        (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(own).save(tmp_path / "all" / name)
    assert here("site", "import", tmp_path / "site", tmp_path / "all")[0] == 0
    rows = rows_of(tmp_path / "site")
    assert [row["class"] for row in rows] == ["cat", "dog", "cat", "dog", "dog"]
    for row, place in zip(rows, (3, 1, 2, 0, 4), strict=True):
        found = np.asarray(Image.open(tmp_path / "site" / "images" / row["image"]))
        assert np.array_equal(found, pixels[place])


def test_classes_in_any_script_are_declared(tmp_path: Path, here: Here) -> None:
    names = ["\U00020bb7", "Ödem", "none"]
    for name in names:
        (tmp_path / "all" / name).mkdir(parents=True)
        Image.new("RGB", (32, 32), "red").save(tmp_path / "all" / name / "a.png")
    assert here("site", "import", tmp_path / "site", tmp_path / "all")[0] == 0
    assert load_site(tmp_path / "site").encoding.outcome.names == tuple(sorted(names))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("", "", "has 0 subfolders; it must have one for each class"),
        ("cat/a.txt", "a", "no PNG or JPEG image in the subfolders"),
        ("cat/a.png", "a", "cannot be imported: not a DICOM, PNG or JPEG file"),
        ("cat/b.png", (40, 33), "b.png is 32 x 32 pixels and a.png is 33 x 40 pixels"),
    ],
)
def test_a_folder_that_cannot_be_imported_is_refused(
    tmp_path: Path, here: Here, name: str, content: str | tuple[int, int], said: str
) -> None:
    folder = tmp_path / "all"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(4)
    if isinstance(content, tuple):
        for own, size in (("a.png", content), ("b.png", (32, 32))):
            pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "cat" / own)
    elif name:
        (folder / name).write_text(content)
    code, _, error = here("site", "import", tmp_path / "site", folder)
    assert (code, said in error) == (2, True)
    assert not (tmp_path / "site").exists()
