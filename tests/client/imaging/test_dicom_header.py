"""What a DICOM header must say before its pixels are decoded, and what is read of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from client.imaging.dicom_header import check_header, facts_of, is_missing, text
from client.imaging.limits import MAXIMUM_PIXELS
from shared.errors import ImageRejected


@pytest.fixture
def header(write_dicom: Callable[..., Path], ramp: Callable[..., Any]) -> Dataset:
    path = write_dicom(ramp(), 12, ViewPosition=" AP ", Modality="DX", PatientID="4711")
    return dcmread(path, stop_before_pixels=True)


def test_a_usable_header_gives_its_facts(header: Dataset) -> None:
    check_header(header, MAXIMUM_PIXELS)
    facts = facts_of(header)
    assert (facts.rows, facts.columns, facts.bits) == (header.Rows, header.Columns, 12)
    assert (facts.view, facts.modality, facts.patient_id) == ("AP", "DX", "4711")
    assert facts.burned_in_annotation is None
    assert facts.transfer_syntax == "Explicit VR Little Endian"


@pytest.mark.parametrize(
    ("element", "value", "why"),
    [
        ("Rows", 0, "no image size in the header"),
        ("SamplesPerPixel", 3, "MONOCHROME2 with samples per pixel other than 1"),
        ("PhotometricInterpretation", "", "no photometric interpretation in the header"),
        ("PhotometricInterpretation", "RGB", "photometric interpretation RGB"),
        # Nothing that a damaged header may hold is repeated.
        ("PhotometricInterpretation", "MILLER ANNA", "photometric interpretation undefined"),
        ("NumberOfFrames", 2, "multi-frame image"),
        ("BitsStored", None, "no bits allocated or bits stored in the header"),
        ("BitsStored", 7, "bits stored outside 8 to 16"),
        ("BitsAllocated", 32, "bits stored outside 8 to 16"),
        ("HighBit", 15, "high bit is not bits stored minus one"),
    ],
)
def test_a_header_that_is_refused(header: Dataset, element: str, value: Any, why: str) -> None:
    setattr(header, element, value)
    with pytest.raises(ImageRejected, match=f"^{why}$"):
        check_header(header, MAXIMUM_PIXELS)


def test_the_size_is_bounded_before_anything_is_decoded(header: Dataset) -> None:
    pixels = header.Rows * header.Columns
    check_header(header, pixels)
    with pytest.raises(ImageRejected, match="larger than"):
        check_header(header, pixels - 1)


def test_absent_empty_and_blank() -> None:
    header = Dataset()
    header.BitsStored, header.ViewPosition = None, "  "
    assert is_missing(header, "Rows")
    assert is_missing(header, "BitsStored")
    assert text(header, "ViewPosition") is None
