"""DICOM files of Deflated Explicit VR Little Endian, PS3.5 A.5, inflated within a limit.

pydicom inflates all that there is before it looks at the header: 3 MB can become 3 GB.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from shared.errors import ImageRejected

# All that is not the picture: attributes, overlays, icons, what vendors add.
ATTRIBUTE_BYTES = 64 * 2**20
_PIECE = 2**16
_FIRST_PIXEL_TAG = 0x7FE00008


def read_if_deflated(path: Path, *, stop_before_pixels: bool) -> Dataset | None:
    """The dataset of a deflated file, or None for a file of another transfer syntax.

    Raises ImageRejected where the file holds more than the image that its header describes can
    have, zlib.error for a damaged stream, and what pydicom raises for a damaged dataset.
    """
    with path.open("rb") as file:
        preamble = read_preamble(file, force=True)
        meta = FileMetaDataset(read_dataset(file, False, True, stop_when=_after_meta))
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return None
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        data = _inflated(file, inflate, ATTRIBUTE_BYTES)
        dataset = read_dataset(io.BytesIO(data), False, True, stop_when=_at_pixels)
        if "Rows" not in dataset and not inflate.eof and len(data) >= ATTRIBUTE_BYTES:
            raise ImageRejected("more data before its image than an image has")
        if not stop_before_pixels:
            data += _inflated(file, inflate, _picture_bytes(dataset))
            if not inflate.eof and len(data) >= ATTRIBUTE_BYTES:
                raise ImageRejected("more data than an image of its size can have")
            if not inflate.eof:
                raise zlib.error("incomplete stream")
            dataset = read_dataset(io.BytesIO(data), False, True)
    found = FileDataset(str(path), dataset, preamble, meta, False, True)
    found.set_original_encoding(False, True, dataset._character_set)
    return found


def _picture_bytes(header: Dataset) -> int:
    bits = int(header.BitsAllocated) * int(header.get("SamplesPerPixel") or 1)
    return int(header.Rows) * int(header.Columns) * bits // 8


def _inflated(file: BinaryIO, inflate: zlib._Decompress, most: int) -> bytes:
    """What follows in the stream, at most `most` bytes of it."""
    pieces: list[bytes] = []
    while most > 0 and not inflate.eof:
        compressed = inflate.unconsumed_tail or file.read(_PIECE)
        piece = inflate.decompress(compressed, most)
        if not compressed and not piece:
            break
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _after_meta(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag >> 16 != 2


def _at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
    return bool(tag >= _FIRST_PIXEL_TAG)
