"""Thousands of damaged files of each encoding: every one gives a picture or a reason."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from benchmarks.steps.encoded import ENCODINGS, noisy_picture, write_encoded
from client.imaging.decoders import Decoders, Refusal
from client.imaging.quiet import quiet_libraries

SIDE_BY_SIDE = 2


def damaged(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """The data with one byte changed, half of the times near its start; cut; or zeroed in part."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        changed = bytearray(data)
        reach = len(data) if number % 2 else min(len(data), 1024)
        place = int(rng.integers(reach))
        match number % 8:
            case 6:
                del changed[place:]
            case 7:
                size = min(64, len(data) - place)
                changed[place : place + size] = bytes(size)
            case _:
                changed[place] ^= int(rng.integers(1, 256))
        yield bytes(changed)


def size_in_header(path: Path, encoding: str) -> tuple[int, int]:
    """Rows and columns that the file announces, by another way than decoding it."""
    data = path.read_bytes()
    if encoding.startswith("PNG"):
        columns, rows = struct.unpack(">II", data[16:24])
        return rows, columns
    if encoding == "JPEG":
        frame = min(
            place
            for mark in (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2")
            if (place := data.find(mark)) > 0
        )
        rows, columns = struct.unpack(">HH", data[frame + 5 : frame + 9])
        return rows, columns
    with quiet_libraries():
        header = dcmread(path, force=True)
        return int(header.Rows), int(header.Columns)


def try_all(folder: Path, encoding: str, count: int) -> tuple[int, int]:
    """How many of so many damaged files gave a picture, and how many a reason."""
    source = folder / "source"
    write_encoded(source, noisy_picture(40, 48, 0), encoding)
    files = list(damaged(source.read_bytes(), count, ENCODINGS.index(encoding)))

    def outcome(number: int) -> bool:
        # With a suffix: otherwise a damaged first byte would be the end of it.
        path = folder / f"{number}.dcm"
        path.write_bytes(files[number])
        with decoders.decoded(path) as result:
            if isinstance(result, Refusal):
                assert result.reason
                assert len(result.reason) < 100
                decoders.patient_id(path)
                return False
            assert result.pixels.shape == (result.facts.rows, result.facts.columns)
            assert result.pixels.shape == size_in_header(path, encoding)
            assert 0 <= result.pixels.min() < result.pixels.max() <= 1
        path.unlink()
        return True

    with Decoders(1_000_000) as decoders, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        outcomes = list(pool.map(outcome, range(count)))
    return sum(outcomes), len(outcomes) - sum(outcomes)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_damaged_file_gives_a_picture_or_a_reason(tmp_path: Path, encoding: str) -> None:
    _, refused = try_all(tmp_path, encoding, 64)
    assert refused > 0


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_thousands_of_them(tmp_path: Path, encoding: str) -> None:
    _, refused = try_all(tmp_path, encoding, 500)
    assert refused > 0
