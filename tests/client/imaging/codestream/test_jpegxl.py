"""Where a JPEG XL image begins: its mark is two bytes, which occur in any data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from client.imaging.dicom import read_dicom

Write = Callable[..., Path]
Encode = Callable[..., bytes]


def test_two_bytes_within_a_jpeg_xl_image_begin_no_other_frame(
    write_compressed: Write, encoded: Encode
) -> None:
    """A frame in two fragments, the second of which begins with FF 0A by chance."""
    streams = (
        (encoded("jpeg-xl", noise, 8), noise)
        for seed in range(99)
        for noise in [np.random.default_rng(seed).integers(0, 256, (300, 300), np.uint8)]
    )
    stream, values, place = next(
        (stream, values, place)
        for stream, values in streams
        if (place := stream.find(b"\xff\x0a", 2)) > 0 and place % 2 == 0
    )
    whole = read_dicom(write_compressed(stream, "jpeg-xl", values, 8)).pixels
    pieces = write_compressed([stream[:place], stream[place:]], "jpeg-xl", values, 8)
    np.testing.assert_array_equal(read_dicom(pieces).pixels, whole)
