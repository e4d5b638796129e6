"""ZIP archives that hold more than they say."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
import zlib

import pytest

from shared.storage.archives import ArchiveTooLarge, unpacked

MUCH = 200 * 2**20


def archive(content: bytes | int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method, compresslevel=1) as target:
        target.writestr("a.txt", b"hello")
        with target.open("b.xml", "w") as file:
            for _ in range(content // 2**20 if isinstance(content, int) else 0):
                file.write(bytes(2**20))
            if isinstance(content, bytes):
                file.write(content)
    return data.getvalue()


def understated(data: bytes, claim: int) -> bytes:
    """The directory says that b.xml has `claim` zeros, with their right checksum."""
    changed = bytearray(data)
    entry = changed.rindex(b"PK\x01\x02")
    changed[entry + 16 : entry + 20] = struct.pack("<I", zlib.crc32(bytes(claim)))
    changed[entry + 24 : entry + 28] = struct.pack("<I", claim)
    return bytes(changed)


def unpack(data: bytes, most: int) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        return dict(unpacked(source, most))


def peak(data: bytes, most: int) -> int:
    tracemalloc.start()
    try:
        with pytest.raises((ArchiveTooLarge, zipfile.BadZipFile)):
            unpack(data, most)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_files_within_the_limit_come_out() -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        data = archive(b"x" * 1000, method)
        assert unpack(data, 1005) == {"a.txt": b"hello", "b.xml": b"x" * 1000}
        with pytest.raises(ArchiveTooLarge):
            unpack(data, 1004)


def test_a_large_file_is_not_unpacked() -> None:
    assert peak(archive(MUCH), MUCH // 2) < 2**20


def test_what_the_directory_says_is_a_limit_too() -> None:
    data = understated(archive(MUCH), 1000)
    tracemalloc.start()
    try:
        assert unpack(data, 2**20)["b.xml"] == bytes(1000)
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
        # The oracle: what reading without the limit takes.
        with zipfile.ZipFile(io.BytesIO(data)) as source:
            source.read("b.xml")
        assert tracemalloc.get_traced_memory()[1] > MUCH
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused(method: int) -> None:
    with pytest.raises(zipfile.BadZipFile, match="another method"):
        unpack(archive(b"x" * 1000, method), 2**20)


def test_so_many_files_are_none_of_ours() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as target:
        for number in range(10_001):
            target.writestr(str(number), b"")
    with pytest.raises(ArchiveTooLarge):
        unpack(data.getvalue(), 2**20)
