"""JPEG headers, and the scans of a progressive one, whatever is damaged in them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.imaging.codestream.header import DamagedStream
from client.imaging.codestream.jpeg import check_scans, read_jpeg

Make = Callable[..., Any]


@pytest.fixture
def progressive(picture: Make, encoded: Make) -> bytes:
    return bytes(encoded("progressive", picture(8), 8))


def judged(stream: bytes) -> str:
    """What is said of a stream; any other exception than DamagedStream is a fault."""
    try:
        check_scans(stream, read_jpeg(stream))
    except DamagedStream as damage:
        return str(damage)
    return ""


def test_all_scans_are_there(progressive: bytes) -> None:
    assert judged(progressive) == ""


def test_a_scan_without_parameters(progressive: bytes) -> None:
    last = progressive.rfind(b"\xff\xda")
    assert judged(progressive[:last] + b"\xff\xda\x00\x02\xff\xd9") == "scans are missing"


def test_a_second_frame_header_without_components(progressive: bytes) -> None:
    second = progressive.find(b"\xff\xda", progressive.find(b"\xff\xda") + 2)
    frame = b"\xff\xc2\x00\x08" + progressive[progressive.find(b"\xff\xc2") + 4 :][:6]
    assert judged(progressive[:second] + frame + progressive[second:]) == "two frame headers"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0), changes=st.integers(1, 4), headers=st.booleans())
def test_no_damage_ends_in_another_error(
    progressive: bytes, seed: int, changes: int, headers: bool
) -> None:
    """Bytes anywhere, or in the parameters of a segment."""
    draw, stream = random.Random(seed), bytearray(progressive)
    markers = [n for n in range(len(stream) - 24) if stream[n] == 255 and stream[n + 1] > 0xBF]
    for _ in range(changes):
        place = (
            draw.choice(markers) + draw.randrange(22) if headers else draw.randrange(len(stream))
        )
        stream[place] = draw.choice((0, 1, 2, 255, draw.randrange(256)))
    judged(bytes(stream))
