"""What the files of an explanation survive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from client.imaging.limits import MAXIMUM_PIXELS
from client.predict.explain import remove_explanation, write_explanation
from client.predict.files import ReadImage, read_in_batches
from client.predict.overlay import Legend

HEAT = np.ones((2, 2), np.float32)
LEGEND = Legend("", 0.5)


def read(path: Path) -> ReadImage:
    (image,) = next(read_in_batches([path], 32, "pad", 1, MAXIMUM_PIXELS))
    assert isinstance(image, ReadImage)
    return image


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"Phantom^N0001", b"\xff\xfe\xfd\xfctom^N0001"),  # no text of the character set
        (b"20000101", b"2000-1-1"),  # no date
    ],
)
def test_a_source_with_damaged_values(
    tmp_path: Path, write_phantom: Callable[..., Path], good: bytes, bad: bytes
) -> None:
    path = write_phantom()
    content = path.read_bytes()
    assert len(good) == len(bad)
    assert good in content
    path.write_bytes(content.replace(good, bad))
    name = write_explanation(tmp_path, 3, read(path), HEAT, LEGEND, "r-1")
    assert name == "0003-image"
    assert dcmread(tmp_path / "0003-image.dcm").PatientID == "N0001"


def test_both_files_are_removed(tmp_path: Path, write_phantom: Callable[..., Path]) -> None:
    before = set(tmp_path.iterdir()) | {write_phantom()}
    name = write_explanation(tmp_path, 1, read(tmp_path / "image.dcm"), HEAT, LEGEND, "r-1")
    assert len(set(tmp_path.iterdir()) - before) == 2
    remove_explanation(tmp_path, name)
    assert set(tmp_path.iterdir()) == before
