"""The picture of an explanation."""

from __future__ import annotations

import numpy as np
import pytest

from client.predict.overlay import PANEL, side_by_side

RAMP = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)


@pytest.mark.parametrize(("size", "side"), [(32, 320), (64, 320), (300, 600), (512, 512)])
def test_two_panels_over_a_caption(size: int, side: int) -> None:
    picture = side_by_side(np.zeros((size, size), np.uint16), np.zeros((2, 2), np.float32))
    assert picture.dtype == np.uint8
    assert side >= PANEL
    assert picture.shape[1:] == (2 * side, 3)
    assert (picture[:side] == 0).all()
    assert picture[side:].max() > 200  # the caption's letters


def test_where_the_map_is_zero_the_image_is_unchanged() -> None:
    picture = side_by_side(RAMP, np.zeros((2, 2), np.float32))
    left, right = picture[:320, :320], picture[:320, 320:]
    np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(left[::5, ::5, 0], np.rint(RAMP / 257.0))
    assert (left[:, :, 0] == left[:, :, 2]).all()


def test_the_map_lies_where_it_was_found() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 1  # top right
    picture = side_by_side(np.full((64, 64), 30000, np.uint16), heat)[:320].astype(int)
    changed = np.abs(picture[:, 320:] - picture[:, :320]).max(axis=2)
    assert changed[:40, 280:].min() > 20
    assert changed[160:].max() == 0
    assert changed[:, :160].max() == 0
    hottest = picture[0, -1]
    assert hottest[0] > hottest[2]  # towards yellow
