"""IDX files, as MNIST and Fashion-MNIST are published (yann.lecun.com/exdb/mnist).

A file begins with two zero bytes, the type of its values (8: bytes) and the number of dimensions;
their sizes follow in 32 bits each, the greatest byte first, and then the values.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from client.importing.labelled_images import MOST_BYTES, LabelledImages, damaged

_BYTES = 8
_GZIP = b"\x1f\x8b"


def is_idx(path: Path) -> bool:
    """Whether the file begins as an IDX file of bytes does, compressed by gzip or not."""
    with path.open("rb") as raw:
        start = raw.read(3)
    if start[:2] == _GZIP:
        try:
            with gzip.open(path) as file:
                start = file.read(3)
        except (OSError, EOFError, zlib.error):
            return False
    return start == bytes([0, 0, _BYTES])


def read_idx_pair(one: Path, other: Path) -> LabelledImages:
    """A file of images (N, H, W) and one of labels (N,), in either order.

    SiteError where a file is damaged or cut, or the two do not belong together.
    """
    by_dimensions = {values.ndim: values for values in map(read_idx, (one, other))}
    if by_dimensions.keys() != {1, 3}:
        raise damaged(
            other, f"and {one.name} are not one file of images (3 dimensions) and one of labels (1)"
        )
    if len(by_dimensions[3]) != len(by_dimensions[1]):
        raise damaged(
            other,
            f"and {one.name} have {len(by_dimensions[3])} images and {len(by_dimensions[1])} "
            "labels",
        )
    return LabelledImages(by_dimensions[3], by_dimensions[1])


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The values of an IDX file, in its shape. SiteError where it is damaged or cut."""
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            return _values(path, file)  # type: ignore[arg-type]
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, f"cannot be read ({error})") from error


def _values(path: Path, file: BinaryIO) -> NDArray[np.uint8]:
    start = file.read(4)
    if len(start) < 4 or start[:3] != bytes([0, 0, _BYTES]):
        raise damaged(path, "is not an IDX file of bytes")
    dimensions = start[3]
    sizes = file.read(4 * dimensions)
    if dimensions == 0 or len(sizes) < 4 * dimensions:
        raise damaged(path, "ends within its sizes")
    shape = struct.unpack(f">{dimensions}I", sizes)
    count = math.prod(shape)
    if count > MOST_BYTES:
        raise damaged(path, f"announces {count:,} bytes; at most {MOST_BYTES:,} are read")
    values = file.read(count)
    if len(values) < count:
        raise damaged(path, f"announces {count:,} bytes and has {len(values):,}")
    if file.read(1):
        raise damaged(path, f"has more than the {count:,} bytes that it announces")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)
