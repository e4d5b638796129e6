"""Compressed DICOM files whose header and stream agree: the very values that were stored."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_testdata_file

from client.imaging.dicom import read_dicom
from shared.errors import ImageRejected

Write = Callable[..., Path]
Make = Callable[..., NDArray[Any]]
Encode = Callable[..., bytes]

LOSSLESS = ("lossless", "sv1", "jpeg-ls", "j2k", "jp2", "htj2k", "jpeg-xl", "rle")


def full_range(values: NDArray[Any], bits: int) -> NDArray[np.float64]:
    """Without window or rescale the least value is black and the greatest white."""
    assert (values.min(), values.max()) == (0, 2**bits - 1)
    shown: NDArray[np.float64] = values / (2**bits - 1)
    return shown


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_compression_gives_the_stored_values(
    write_compressed: Write, kind: str, bits: int, encoded: Encode, picture: Make
) -> None:
    values = picture(bits)
    path = write_compressed(encoded(kind, values, bits), kind, values, bits)
    np.testing.assert_allclose(read_dicom(path).pixels, full_range(values, bits), atol=1e-7)


def test_tiles_give_the_stored_values(
    write_compressed: Write, encoded: Encode, picture: Make
) -> None:
    values = picture(8)
    path = write_compressed(encoded("tiles", values, 8), "tiles", values, 8)
    np.testing.assert_allclose(read_dicom(path).pixels, full_range(values, 8), atol=1e-7)


@pytest.mark.parametrize(
    ("kind", "bits"),
    [("jpeg", 8), ("progressive", 8), ("restarts", 8), ("extended", 12), ("j2k-lossy", 12)],
)
def test_lossy_compression_stays_near_the_stored_values(
    write_compressed: Write, kind: str, bits: int, encoded: Encode, picture: Make
) -> None:
    values = picture(bits)
    path = write_compressed(encoded(kind, values, bits), kind, values, bits)
    expected = full_range(values, bits)
    assert np.abs(read_dicom(path).pixels - expected).mean() < 0.02


def test_baseline_of_8_bits_stands_in_cells_of_16(
    write_compressed: Write, encoded: Encode, picture: Make
) -> None:
    values = picture(8)
    path = write_compressed(encoded("jpeg", values, 8), "jpeg", values, 8, BitsAllocated=16)
    assert np.abs(read_dicom(path).pixels - full_range(values, 8)).mean() < 0.02


@pytest.mark.parametrize("has_offsets", [True, False])
@pytest.mark.parametrize("kind", ["jpeg", "sv1", "jpeg-ls", "j2k", "jpeg-xl"])
def test_a_stream_in_several_fragments_is_one_picture(
    write_compressed: Write, kind: str, has_offsets: bool, encoded: Encode, picture: Make
) -> None:
    values = picture(8)
    stream = encoded(kind, values, 8)
    whole = read_dicom(write_compressed(stream, kind, values, 8)).pixels
    pieces = write_compressed(stream, kind, values, 8, fragments=3, has_offsets=has_offsets)
    np.testing.assert_array_equal(read_dicom(pieces).pixels, whole)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("kind", ["sv1", "jpeg-ls", "j2k", "htj2k", "jpeg-xl", "rle"])
def test_an_overlay_above_bits_stored_is_masked(
    write_compressed: Write, kind: str, signed: bool, encoded: Encode, picture: Make
) -> None:
    values = picture(12)
    cells = values | (np.arange(values.size).reshape(values.shape) % 3 == 0).astype(np.uint16) << 12
    path = write_compressed(
        encoded(kind, cells, 16), kind, values, 12, PixelRepresentation=int(signed)
    )
    expected = full_range(values, 12)
    if signed:  # the 12 bits as two's complement
        signed_values = np.where(values >= 2048, values.astype(int) - 4096, values)
        expected = (signed_values + 2048) / 4095
    np.testing.assert_allclose(read_dicom(path).pixels, expected, atol=1e-7)


def test_lossy_values_a_little_above_the_range_stay_white(
    write_compressed: Write, encoded: Encode, picture: Make
) -> None:
    values = picture(12)
    above = np.where(values > 4000, values + 200, values)
    path = write_compressed(encoded("j2k-lossy", above, 16), "j2k-lossy", values, 12)
    pixels = read_dicom(path).pixels
    bright = (above > 4100) & (np.roll(above, 1, axis=1) > 4100)
    assert bright.sum() > 10
    assert pixels[bright].min() > 0.9


def test_lossy_values_far_above_the_range_are_refused(
    write_compressed: Write, encoded: Encode, picture: Make
) -> None:
    values = picture(12)
    stream = encoded("j2k-lossy", values + np.uint16(8192), 16)
    path = write_compressed(stream, "j2k-lossy", values, 12)
    with pytest.raises(ImageRejected, match="lossy pixel values above bits stored"):
        read_dicom(path)


def test_a_missing_end_of_image_loses_nothing(
    write_compressed: Write, encoded: Encode, picture: Make
) -> None:
    values = picture(8)
    for kind in ("jpeg", "sv1"):
        stream = encoded(kind, values, 8)
        whole = read_dicom(write_compressed(stream, kind, values, 8)).pixels
        cut = read_dicom(write_compressed(stream[:-2], kind, values, 8)).pixels
        np.testing.assert_array_equal(cut, whole)


@pytest.mark.parametrize("spare", [1, 4, 8])
def test_a_few_spare_bytes_before_the_end_lose_nothing(
    write_compressed: Write, spare: int, encoded: Encode, picture: Make
) -> None:
    for kind, bits in (("jpeg", 8), ("sv1", 12), ("extended", 12)):
        values = picture(bits)
        stream = encoded(kind, values, bits)
        padded = stream[:-2] + bytes(spare) + stream[-2:]
        whole = read_dicom(write_compressed(stream, kind, values, bits)).pixels
        np.testing.assert_array_equal(
            read_dicom(write_compressed(padded, kind, values, bits)).pixels, whole
        )


def test_a_jfif_version_that_libjpeg_does_not_know_loses_nothing(
    write_compressed: Write, encoded: Encode, picture: Make
) -> None:
    values = picture(8)
    stream = encoded("jpeg", values, 8)
    newer = stream.replace(b"JFIF\0\x01", b"JFIF\0\x03", 1)
    assert newer != stream
    whole = read_dicom(write_compressed(stream, "jpeg", values, 8)).pixels
    np.testing.assert_array_equal(
        read_dicom(write_compressed(newer, "jpeg", values, 8)).pixels, whole
    )


# dcmtk's own encoders and decoder, which share no code with the decoders here


def dcmtk(*command: str) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed (Debian's package dcmtk)")
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("command", "bits"),
    [
        (("dcmcjpeg", "--encode-lossless-sv1"), 8),
        (("dcmcjpeg", "--encode-lossless-sv1"), 12),
        (("dcmcjpeg", "--encode-lossless-sv1"), 16),
        *(
            (("dcmcjpeg", "--encode-lossless", "--selection-value", str(n)), 12)
            for n in range(1, 8)
        ),
        (("dcmcjpls", "--encode-lossless"), 8),
        (("dcmcjpls", "--encode-lossless"), 12),
        (("dcmcjpls", "--encode-lossless", "--fragment-size", "2"), 16),
        (("dcmcrle",), 8),
        (("dcmcrle",), 12),
    ],
)
def test_what_dcmtk_encodes_reads_as_its_source(
    tmp_path: Path, write_dicom: Write, command: tuple[str, ...], bits: int, picture: Make
) -> None:
    values = picture(bits)
    source, target = write_dicom(values, bits), tmp_path / "compressed.dcm"
    dcmtk(*command, str(source), str(target))
    np.testing.assert_allclose(read_dicom(target).pixels, full_range(values, bits), atol=1e-7)


@pytest.mark.parametrize(
    ("command", "bits"),
    [
        (("dcmcjpeg", "--encode-baseline", "--quality", "90"), 8),
        (("dcmcjpeg", "--encode-progressive", "--quality", "90"), 8),
        (("dcmcjpeg", "--encode-extended", "--quality", "90"), 12),
        (("dcmcjpls", "--encode-nearlossless", "--max-deviation", "3"), 12),
    ],
)
def test_lossy_files_read_as_dcmtk_reads_them(
    tmp_path: Path, write_dicom: Write, command: tuple[str, ...], bits: int, picture: Make
) -> None:
    values = picture(bits)
    target, plain = tmp_path / "compressed.dcm", tmp_path / "plain.dcm"
    dcmtk(*command, str(write_dicom(values, bits)), str(target))
    if "--encode-progressive" in command:
        with pytest.raises(ImageRejected, match="unsupported transfer syntax JPEG Full Progr"):
            read_dicom(target)
        return
    dcmtk("dcmdjpls" if command[0] == "dcmcjpls" else "dcmdjpeg", str(target), str(plain))
    np.testing.assert_allclose(
        read_dicom(target).pixels, read_dicom(plain).pixels, atol=2.5 / 255 if bits == 8 else 1e-3
    )


def test_pydicoms_12_bit_jpeg_reads_as_dcmtk_reads_it(tmp_path: Path) -> None:
    source = get_testdata_file("JPGExtended.dcm", download=False)
    plain = tmp_path / "plain.dcm"
    dcmtk("dcmdjpeg", str(source), str(plain))
    stored = dcmread(plain).pixel_array.astype(float)
    image = read_dicom(Path(str(source)))
    assert image.facts.bits == 12
    expected = read_dicom(plain).pixels
    np.testing.assert_allclose(image.pixels, expected, atol=2 / np.ptp(stored))


@pytest.mark.parametrize("kind", ["sv1", "lossless", "j2k"])
@pytest.mark.parametrize("signed", [0, 1])
def test_bits_between_stored_and_allocated_that_are_in_use_are_refused(
    kind: str, signed: int, picture: Make, encoded: Encode, write_compressed: Write
) -> None:
    """12 bits of a picture under a header of 10: masking would turn white into black."""
    values = picture(12)
    stream = encoded(kind, values, 12)
    header = {"BitsStored": 10, "HighBit": 9, "PixelRepresentation": signed}
    path = write_compressed(stream, kind, values, 12, **header)
    with pytest.raises(ImageRejected, match="12 bits in use, the header says 10"):
        read_dicom(path)


@pytest.mark.parametrize("kind", ["sv1", "lossless", "j2k"])
def test_bits_between_stored_and_allocated_that_are_not_in_use_do_no_harm(
    kind: str, picture: Make, encoded: Encode, write_compressed: Write
) -> None:
    values = picture(10)
    path = write_compressed(encoded(kind, values, 12), kind, values, 10)
    np.testing.assert_allclose(read_dicom(path).pixels, values / 1023, atol=1e-6)
