"""Small files that hold much more than an image: refused, and the helper's memory shows it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, RLELossless

from benchmarks.machine import resident
from benchmarks.steps.encoded import ENCODINGS, noisy_picture, write_encoded
from client.data.cache import ImageCache
from client.data.reading import read_images
from client.imaging.facts import check_size
from client.imaging.helper import Helper
from client.imaging.helper_process import DECODE
from client.imaging.limits import MAXIMUM_PIXELS, decoding_bytes

MUCH = 400 * 2**20
FEW = 200 * 2**20
"""Most of it is the room for attributes: 64 MiB inflated, and again while they are parsed."""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.dcm"
    write_encoded(path, noisy_picture(64, 64, 0), "native")
    return path


def answer_and_peak(path: Path, maximum_pixels: int = MAXIMUM_PIXELS) -> tuple[str, int]:
    """The reason, or "" for a picture, and what the helper took for it at its peak, in bytes."""
    helper = Helper(maximum_pixels)
    try:
        before = resident(helper.process, "VmRSS")
        answer = helper.ask(DECODE, path, 120)
        return str(answer.get("reason", "")), resident(helper.process, "VmHWM") - before
    finally:
        helper.end()


def swollen(data: bytes) -> bytes:
    """`data` deflated, followed by many zeros."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    parts = [packer.compress(data)]
    parts += [packer.compress(bytes(2**20)) for _ in range(MUCH // 2**20)]
    return b"".join([*parts, packer.flush()])


@pytest.mark.parametrize("where", ["before the header", "behind the pixels", "in the pixels"])
def test_a_deflated_file_inflates_to_its_image_and_no_further(image: Path, where: str) -> None:
    dataset = dcmread(image)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(image)
    data = image.read_bytes()
    meta = 132 + 12 + int(dcmread(image).file_meta.FileMetaInformationGroupLength)
    plain = zlib.decompress(data[meta:], -zlib.MAX_WBITS)
    many = struct.pack("<I", MUCH)
    if where == "before the header":
        plain = b"\x07\x00\x10\x10OB\0\0" + many
    elif where == "behind the pixels":
        plain += b"\xfc\xff\xfc\xffOB\0\0" + many
    else:
        pixels = plain.index(b"\xe0\x7f\x10\x00OW")
        plain = plain[: pixels + 8] + many
    image.write_bytes(data[:meta] + swollen(plain))
    assert image.stat().st_size < 4_000_000
    reason, peak = answer_and_peak(image)
    before = "more data before its image than an image has"
    assert reason in ("more data than an image of its size can have", before)
    assert peak < FEW


def encapsulated(image: Path, uid: UID, frame: bytes) -> None:
    dataset = dcmread(image)
    dataset.file_meta.TransferSyntaxUID = uid
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(image)


def test_a_run_length_segment_is_no_longer_than_the_image(image: Path) -> None:
    header = struct.pack("<16L", 2, 64, 66, *[0] * 13)
    encapsulated(image, RLELossless, header + b"\x00\x00" + b"\x81\x00" * (MUCH // 128))
    reason, peak = answer_and_peak(image)
    assert reason
    assert peak < FEW


@pytest.mark.parametrize("side", [20_000, 65_000])
def test_a_code_stream_is_no_larger_than_the_header_says(tmp_path: Path, side: int) -> None:
    for encoding in ("JPEG 2000", "JPEG lossless", "JPEG baseline"):
        source = tmp_path / "source.dcm"
        write_encoded(source, noisy_picture(64, 64, 0), encoding)
        data = bytearray(source.read_bytes())
        if encoding == "JPEG 2000":  # Xsiz and Ysiz, and tiles as large: ISO 15444-1 A.5.1
            start = data.index(b"\xff\x51")
            for offset in (6, 10, 22, 26):
                data[start + offset : start + offset + 4] = struct.pack(">I", side)
        else:  # Y and X of the frame header: ISO 10918-1 B.2.2
            start = data.index(b"\xff\xc3" if encoding == "JPEG lossless" else b"\xff\xc0")
            data[start + 5 : start + 9] = struct.pack(">HH", side, side)
        source.write_bytes(data)
        reason, peak = answer_and_peak(source, 1_000_000)
        assert reason, encoding
        assert peak < decoding_bytes(1_000_000) + 2**26, encoding


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    "head",
    [b"zTXtComment\0\0", b"iCCPprofile\0\0", b"iTXtComment\0\1\0\0\0"],
    ids=["zTXt", "iCCP", "iTXt"],
)
def test_a_chunk_of_text_does_not_swell(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "image.png"
    write_encoded(path, noisy_picture(64, 64, 0), "PNG")
    data = path.read_bytes()
    packed = zlib.compress(bytes(MUCH), 1)
    path.write_bytes(data[:33] + chunk(head[:4], head[4:] + packed) + data[33:])
    _, peak = answer_and_peak(path)
    assert peak < FEW


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_png_that_says_it_is_huge_is_believed(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "image.png"
    write_encoded(path, noisy_picture(64, 64, 0), "PNG")
    data = path.read_bytes()
    path.write_bytes(
        data[:8] + chunk(b"IHDR", struct.pack(">II", width, height) + data[24:29]) + data[33:]
    )
    reason, peak = answer_and_peak(path)
    assert reason == "larger than 100 megapixels"
    assert peak < FEW


def test_pixels_of_a_png_do_not_go_on(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0))
    rows = np.random.default_rng(0).integers(0, 256, (64, 65)).astype(np.uint8)
    rows[:, 0] = 0
    data = zlib.compress(rows.tobytes() + bytes(MUCH), 1)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    _, peak = answer_and_peak(path)
    assert peak < FEW


@pytest.mark.parametrize(
    "encoding",
    [
        *("native", "JPEG 2000", "PNG"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ENCODINGS),
    ],
)
def test_memory_is_bounded_by_the_largest_image_that_is_allowed(
    tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "image.dcm"
    write_encoded(path, noisy_picture(1000, 1200, 0), encoding)
    assert answer_and_peak(path, 1_200_000 - 1)[0] == "larger than 1.2 megapixels"
    reason, peak = answer_and_peak(path, 1_200_000)
    assert reason == ""
    assert peak < 40 * 1_200_000


def test_more_helpers_than_memory_are_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    from client.imaging import limits

    monkeypatch.setattr(limits, "_cores", lambda: 64)
    for gigabytes, pixels, count in ((8, 10**8, 1), (32, 10**8, 3), (128, 10**8, 8), (1, 10**9, 1)):
        monkeypatch.setattr(limits, "memory_bytes", lambda size=gigabytes: size * 2**30)
        assert limits.helper_count(pixels) == count


@pytest.mark.parametrize("columns", [24_495, 1_000_000])
def test_a_long_and_narrow_picture_is_not_padded_to_a_square(tmp_path: Path, columns: int) -> None:
    """32 x 1,000,000 pixels take 31 kB on the disk and 4 TB as a square."""
    (tmp_path / "images").mkdir()
    stripes = np.tile(np.array([0, 255], np.uint8), (32, columns // 2 + 1))[:, :columns]
    Image.fromarray(stripes).save(tmp_path / "images" / "long.png")
    cache = ImageCache(tmp_path / "cache", 16, "pad")
    (file,) = read_images(tmp_path / "images", cache, "pad", MAXIMUM_PIXELS, None)
    assert file.content.reason == "a side longer than 24,494 pixels"


@pytest.mark.parametrize(
    ("rows", "columns", "most"),
    [(12_000, 3_000, MAXIMUM_PIXELS), (32, 10_000, 400_000), (24_494, 40, MAXIMUM_PIXELS)],
)
def test_long_pictures_within_the_limit_are_read(rows: int, columns: int, most: int) -> None:
    """As those of a whole spine or leg are, also where the owner allows few pixels."""
    check_size(rows, columns, most)
    check_size(columns, rows, most)
