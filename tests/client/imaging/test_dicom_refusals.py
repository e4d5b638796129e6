from __future__ import annotations

import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    JPEG2000Lossless,
    RLELossless,
)

from client.imaging import dicom_pixels
from client.imaging.dicom import read_dicom, read_patient_id
from shared.errors import ImageRejected

Write = Callable[..., Path]


Ramp = Callable[..., NDArray[Any]]


PRESENTATION_STATE = GrayscaleSoftcopyPresentationStateStorage


def bundled(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path)


def reason_of(path: Path) -> str:
    with pytest.raises(ImageRejected) as caught:
        read_dicom(path)
    return caught.value.reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rtplan.dcm", "DICOM object without an image"),
        ("rtplan_truncated.dcm", "DICOM object without an image"),
        ("test-SR.dcm", "DICOM object without an image"),
        ("rtdose.dcm", "multi-frame image"),
        ("rtdose_rle.dcm", "multi-frame image"),
        ("rtdose_1frame.dcm", "smaller than 32 pixels"),
        ("JPEGLSNearLossless_16.dcm", "smaller than 32 pixels"),
        ("liver_1frame.dcm", "bits stored outside 8 to 16"),
        ("MR_truncated.dcm", "unreadable or truncated pixel data"),
        ("badVR.dcm", "unreadable DICOM header"),
        ("no_meta.dcm", "not a DICOM file"),
        ("examples_palette.dcm", "photometric interpretation PALETTE COLOR"),
        ("SC_rgb_rle.dcm", "photometric interpretation RGB"),
        ("SC_rgb_jpeg_dcmtk.dcm", "photometric interpretation YBR_FULL"),
    ],
)
def test_bundled_files_are_refused_with_their_reason(name: str, reason: str) -> None:
    assert reason_of(bundled(name)) == reason


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"PixelData": None}, "pixel data missing or truncated"),
        ({"Rows": None}, "no image size in the header"),
        ({"Columns": 0}, "no image size in the header"),
        ({"BitsStored": None}, "no bits allocated or bits stored in the header"),
        ({"Rows": None, "SOPClassUID": CTImageStorage}, "no image size in the header"),
        ({"Rows": None, "SOPClassUID": "1.2.3.4"}, "DICOM object without an image"),
        ({"Rows": 0, "SOPClassUID": "1.2.3.4"}, "no image size in the header"),
        ({"Rows": None, "SOPClassUID": PRESENTATION_STATE}, "DICOM object without an image"),
        ({"NumberOfFrames": 2}, "multi-frame image"),
        ({"PhotometricInterpretation": "JANE DOE"}, "photometric interpretation undefined"),
        ({"PhotometricInterpretation": None}, "no photometric interpretation in the header"),
        ({"SamplesPerPixel": 3}, "MONOCHROME2 with samples per pixel other than 1"),
        ({"HighBit": 15}, "high bit is not bits stored minus one"),
        ({"Rows": 10}, "smaller than 32 pixels"),
    ],
)
def test_hand_made_files_are_refused_with_their_reason(
    write_dicom: Write, ramp: Ramp, attributes: dict[str, Any], reason: str
) -> None:
    assert reason_of(write_dicom(ramp(), 12, **attributes)) == reason


def test_decompression_bomb_is_refused_before_it_is_decoded(
    write_dicom: Write, ramp: Ramp, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dicom(ramp(), 12, Rows=10_001, Columns=10_000)
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = RLELossless
    dataset.PixelData = encapsulate([bytes(64)])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)

    def explode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(dicom_pixels, "decode_encapsulated", explode)
    assert reason_of(path) == "larger than 100 megapixels"


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        ("1.2.840.10008.1.2.4.53", "JPEG Spectral Selection"),
        ("1.2.840.10008.1.2.4.100", "MPEG2"),
        ("1.2.3.4.5", "private"),
    ],
)
def test_transfer_syntax_without_decoder_is_named(
    write_dicom: Write, ramp: Ramp, uid: str, name: str
) -> None:
    path = write_dicom(ramp(), 12)
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = UID(uid)
    dataset.PixelData = encapsulate([bytes(64)])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, implicit_vr=False, little_endian=True)
    assert reason_of(path).startswith(f"unsupported transfer syntax {name}")


def test_a_standard_transfer_syntax_newer_than_pydicom_is_named(
    write_dicom: Write, ramp: Ramp
) -> None:
    path = write_dicom(ramp(), 12)
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.100")
    dataset.PixelData = encapsulate([bytes(64)])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, implicit_vr=False, little_endian=True)
    path.write_bytes(path.read_bytes().replace(b"1.2.4.100", b"1.2.4.999"))
    assert reason_of(path) == "unsupported transfer syntax 1.2.840.10008.1.2.4.999"


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("name", ["693_J2KI.dcm", "image_dfl.dcm", "MR_small_RLE.dcm"])
def test_truncated_files_are_refused(tmp_path: Path, name: str, share: float) -> None:
    data = bundled(name).read_bytes()
    path = tmp_path / "cut.dcm"
    path.write_bytes(data[: int(len(data) * share)])
    assert len(reason_of(path)) < 60


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert reason_of(tmp_path / "gone.dcm") == "file cannot be read"
    assert read_patient_id(tmp_path / "gone.dcm") is None


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_gives_an_image_or_a_short_reason(
    tmp_path: Path, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(["MR_small_RLE.dcm", "MR_small.dcm", "CT_small.dcm"]))
    content = bytearray(bundled(name).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(132, min(len(content), 2500) - 1))
        content[position] = data.draw(st.integers(0, 255))
    path = tmp_path / "SECRET-7.dcm"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            image = read_dicom(path)
        except ImageRejected as rejection:
            reason, pixels = rejection.reason, np.array([0.0, 1.0])
        else:
            reason, pixels = "", image.pixels
    assert "SECRET" not in reason
    assert len(reason) < 90
    assert 0 <= pixels.min() < pixels.max() <= 1


@pytest.mark.parametrize(
    ("attributes", "surplus"),
    [
        ({"Columns": 47}, b""),
        ({"Rows": 39}, b""),
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, b""),
        ({}, b"\0\0\0\1"),
    ],
)
def test_more_native_pixels_than_the_header_says_are_no_picture(
    write_dicom: Write, ramp: Ramp, attributes: dict[str, Any], surplus: bytes
) -> None:
    """Rows that are one pixel longer than the header says would be sheared."""
    dataset = dcmread(write_dicom(ramp(), 12))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.PixelData += surplus
    path = write_dicom(ramp(), 12)
    dataset.save_as(path)
    assert reason_of(path) == "more pixel data than the header says"


@pytest.mark.parametrize("padding", [b"\0\0", bytes(96), b"\xff" * 512])
def test_padding_behind_native_pixels_is_no_picture(
    write_dicom: Write, ramp: Ramp, padding: bytes
) -> None:
    path = write_dicom(ramp(), 12)
    expected = read_dicom(path).pixels
    dataset = dcmread(path)
    dataset.PixelData += padding
    dataset.save_as(path)
    np.testing.assert_array_equal(read_dicom(path).pixels, expected)


def test_pixels_compressed_against_the_header_are_named(write_dicom: Write, ramp: Ramp) -> None:
    path = write_dicom(ramp(), 12)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0"))
    assert reason_of(path) == "the pixel data is not compressed but the header says RLE Lossless"
    dataset = dcmread(write_dicom(ramp(), 12))
    dataset.compress(RLELossless)
    dataset.save_as(path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.2.1\0"))
    expected = "the pixel data is compressed but the header says it is uncompressed"
    assert reason_of(path) == expected


@pytest.mark.parametrize("rest", [b"\xff" * 8, b"\xff" * 200, bytes(200), b"\r\n", b"x" * 99])
def test_bytes_behind_the_last_element_lose_no_picture(
    write_dicom: Write, ramp: Ramp, rest: bytes
) -> None:
    path = write_dicom(ramp(), 12)
    expected = read_dicom(path).pixels
    path.write_bytes(path.read_bytes() + rest)
    np.testing.assert_array_equal(read_dicom(path).pixels, expected)


def test_pixel_data_of_another_size_than_announced_is_refused(
    write_dicom: Write, ramp: Ramp
) -> None:
    path = write_dicom(ramp(), 12)
    dataset = dcmread(path)
    dataset.compress(RLELossless)
    dataset.Rows = 80
    dataset.save_as(path)
    assert reason_of(path) == "unreadable or truncated pixel data"
    buffer = BytesIO()
    Image.fromarray(ramp(maximum=255).astype(np.uint8)).save(buffer, "JPEG2000")
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([buffer.getvalue()[:100]])
    dataset.save_as(path)
    assert reason_of(path) == "unreadable or truncated pixel data"
