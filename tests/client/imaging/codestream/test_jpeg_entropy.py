"""Whether the codes of a JPEG fill its picture, of streams that libjpeg-turbo wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.imaging.codestream.header import DamagedStream
from client.imaging.codestream.jpeg import read_jpeg
from client.imaging.codestream.jpeg_entropy import (
    check_lossless,
    check_sequential,
    entropy_coded,
)

Make = Callable[..., Any]
PREDICTORS = range(1, 8)


def slowly(data: bytes) -> list[bytes]:
    """ISO 10918-1 B.1.1.5 byte by byte: 255 and 0 are 255; RSTn divides; another marker ends."""
    found, at = [bytearray()], 0
    while at < len(data):
        byte = data[at]
        following = data[at + 1] if at + 1 < len(data) else None
        if byte != 0xFF:
            found[-1].append(byte)
            at += 1
        elif following == 0:
            found[-1].append(0xFF)
            at += 2
        elif following is not None and 0xD0 <= following <= 0xD7:
            found.append(bytearray())
            at += 2
        else:
            break
    return [bytes(one) for one in found]


@given(
    st.lists(
        st.one_of(
            st.integers(0, 254).map(lambda n: bytes([n])),
            st.just(b"\xff\x00"),
            st.integers(0xD0, 0xD7).map(lambda n: bytes([0xFF, n])),
        ),
        max_size=40,
    )
)
def test_stuffing_and_restarts(pieces: list[bytes]) -> None:
    data = b"".join(pieces) + b"\xff\xd9 and what follows"
    assert [one.tobytes() for one in entropy_coded(b"head" + data, 4)] == slowly(data)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("predictor", PREDICTORS)
def test_every_predictor_is_counted_to_the_last_byte(
    picture: Make, predictor: int, bits: int
) -> None:
    values = picture(bits)
    stream = bytes(
        imagecodecs.jpeg8_encode(values, lossless=True, bitspersample=bits, predictor=predictor)
    )
    image = read_jpeg(stream)
    check_lossless(stream, image, values)
    short = stream[:-8] + b"\xff\xd9"  # six bytes of codes; encoders may leave one to spare
    with pytest.raises(DamagedStream, match="do not fill the image"):
        check_lossless(short, read_jpeg(short), values)


def test_another_picture_has_other_codes(picture: Make, encoded: Make) -> None:
    values = picture(12)
    stream = encoded("sv1", values, 12)
    with pytest.raises(DamagedStream, match="do not fill the image"):
        check_lossless(stream, read_jpeg(stream), np.zeros_like(values))


@pytest.mark.parametrize(("kind", "bits"), [("extended", 12), ("jpeg", 8), ("restarts", 8)])
def test_sequential_codes_are_followed_to_the_end(
    picture: Make, encoded: Make, kind: str, bits: int
) -> None:
    stream = encoded(kind, picture(bits), bits)
    image = read_jpeg(stream)
    check_sequential(stream, image)
    for share in (0.2, 0.6, 0.9):
        cut = image.data_start + int((len(stream) - image.data_start) * share)
        short = stream[:cut] + b"\xff\xd9"
        with pytest.raises(DamagedStream):
            check_sequential(short, read_jpeg(short))
