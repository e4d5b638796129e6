"""Which files a person's words name, and how they are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from client.imaging.image import decode, fit_square
from client.imaging.limits import MAXIMUM_PIXELS
from client.predict.files import ReadImage, Refused, find_files, read_in_batches
from shared.errors import SiteError


def test_files_and_folders_each_once(tmp_path: Path, write_site: Callable[..., Path]) -> None:
    folder = write_site(tmp_path, "north", 4) / "images"
    first, *others = sorted(folder.iterdir())
    deep = folder / "deep" / "er"
    deep.mkdir(parents=True)
    others[-1].rename(deep / others[-1].name)
    (folder / ".hidden.png").touch()
    (folder / "notes.txt").touch()
    found = find_files([first, tmp_path, folder / "notes.txt"])
    assert found[0] == first
    assert set(found) == {*folder.glob("[!.]*.png"), *deep.glob("*.png"), folder / "notes.txt"}
    assert len(found) == len(set(found))


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="There is no file or folder"):
        find_files([tmp_path / "none.dcm"])


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_files_are_read_in_their_order(
    tmp_path: Path, write_site: Callable[..., Path], batch: int
) -> None:
    files = sorted((write_site(tmp_path, "north", 4) / "images").iterdir())
    files[1].write_bytes(b"damaged")
    batches = list(read_in_batches(files, 48, "stretch", batch, MAXIMUM_PIXELS))
    assert all(len(part) == batch for part in batches[:-1])
    read = [item for part in batches for item in part]
    assert [item.path for item in read] == files
    for item in read:
        if item.path == files[1]:
            assert item == Refused(files[1], "not a DICOM, PNG or JPEG file")
        else:
            assert isinstance(item, ReadImage)
            wanted = fit_square(decode(item.path).pixels, 48, "stretch")
            np.testing.assert_array_equal(item.square, wanted)
