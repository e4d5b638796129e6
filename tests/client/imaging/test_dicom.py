from __future__ import annotations

import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from client.imaging.dicom import read_dicom, read_patient_id

Write = Callable[..., Path]
Ramp = Callable[..., NDArray[Any]]


def bundled(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path)


def test_facts_are_read_and_the_patient_is_kept_out_of_the_repr(
    write_dicom: Write, ramp: Ramp
) -> None:
    path = write_dicom(
        ramp(), 12, ViewPosition="AP", BurnedInAnnotation="YES",
        PresentationIntentType="FOR PRESENTATION", BodyPartExamined="CHEST",
    )  # fmt: skip
    facts = read_dicom(path).facts
    assert (facts.format, facts.rows, facts.columns, facts.bits) == ("DICOM", 40, 48, 12)
    assert (facts.view, facts.burned_in_annotation, facts.modality) == ("AP", "YES", "DX")
    assert facts.transfer_syntax == "Explicit VR Little Endian"
    assert facts.presentation_intent == "FOR PRESENTATION"
    assert facts.body_part == "CHEST"
    assert facts.patient_id == "SECRET-7"
    assert "SECRET" not in repr(facts)
    assert read_patient_id(path) == "SECRET-7"


def test_rows_and_columns_stay_as_stored(write_dicom: Write, ramp: Ramp) -> None:
    stored = ramp()
    pixels = read_dicom(write_dicom(stored, 12, PatientOrientation=["R", "F"])).pixels
    np.testing.assert_allclose(pixels, stored / 4095, atol=1e-6)


# Decoders


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_expb.dcm",
        "MR_small_implicit.dcm",
        "MR_small_padded.dcm",
    ],
)
def test_every_lossless_encoding_of_one_image_reads_the_same(name: str) -> None:
    raw = np.frombuffer(dcmread(bundled("MR_small.dcm")).PixelData, "<i2").reshape(64, 64)
    # The window of 600 +- 800 clips some of both ends (PS3.3 C.11.2.1.2.1).
    expected = np.clip((raw - 599.5) / 1599 + 0.5, 0, 1)
    np.testing.assert_allclose(read_dicom(bundled(name)).pixels, expected, atol=2e-7)


def test_jpeg_2000_with_the_wrong_sign_reads_as_its_header_says() -> None:
    image = read_dicom(bundled("J2K_pixelrep_mismatch.dcm"))
    # Air of a CT lies far below the window of 40 +- 50, and fills the corners.
    assert image.pixels[:5, :5].max() == 0
    assert 0.1 < image.pixels.mean() < 0.6


def test_jpeg_baseline_reads_as_pillow_reads_its_frame(write_dicom: Write) -> None:
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(smooth).save(buffer, "JPEG", quality=95)
    path = write_dicom(smooth, 8)
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([buffer.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    frame = np.asarray(Image.open(buffer)).astype(np.float64)
    expected = (frame - frame.min()) / np.ptp(frame)
    np.testing.assert_allclose(read_dicom(path).pixels, expected, atol=1.5 / 126)


def test_deflated_and_headerless_files_are_read(tmp_path: Path) -> None:
    assert read_dicom(bundled("image_dfl.dcm")).facts.transfer_syntax == (
        "Deflated Explicit VR Little Endian"
    )
    original = bundled("MR_small_implicit.dcm")
    path = tmp_path / "headerless.dcm"
    meta = 132 + 12 + int(dcmread(original).file_meta.FileMetaInformationGroupLength)
    path.write_bytes(original.read_bytes()[meta:])
    assert path.read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(read_dicom(path).pixels, read_dicom(original).pixels)


def test_warnings_of_pydicom_stay_inside(write_dicom: Write, ramp: Ramp) -> None:
    path = write_dicom(ramp(), 12)
    data = path.read_bytes().replace(b"SECRET-7", b"\xff\xfeECRET7")
    data = data.replace(b"CS\x02\x00DX", b"CS\x02\x00dx")
    path.write_bytes(data + b"\x00\x00")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_dicom(path)
    assert caught == []
