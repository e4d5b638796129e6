"""The picture of an explanation."""

from __future__ import annotations

import numpy as np
import pytest

from client.predict.overlay import CAPTION, PANEL, Legend, side_by_side

LEGEND = Legend("pneumonia", 0.25)
RAMP = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)


@pytest.mark.parametrize(("size", "side"), [(32, 320), (64, 320), (300, 600), (512, 512)])
def test_two_panels_and_a_scale_over_a_legend(size: int, side: int) -> None:
    picture = side_by_side(np.zeros((size, size), np.uint16), np.zeros((2, 2), np.float32), LEGEND)
    assert picture.dtype == np.uint8
    assert side >= PANEL
    assert (picture[:side, : 2 * side] == 0).all()
    assert picture[:side, 2 * side :].max() > 200  # the scale's words
    assert picture[side:].max() > 200  # the legend's letters
    assert (picture[:, -1] == 0).all(), "no letter is cut at the edge"


def test_the_scale_has_the_maps_colours() -> None:
    """On its grey the strongest place looks as the scale's top does, the others as its bottom."""
    heat = np.zeros((2, 2), np.float32)
    heat[:, 0] = 1
    grey = np.full((320, 320), round(128 / 255 * 65535), np.uint16)
    picture = side_by_side(grey, heat, LEGEND)[:320].astype(int)
    column = picture[:, 640 + 12]
    bar = column[column.any(axis=1)]
    np.testing.assert_allclose(bar[0], picture[160, 320], atol=1)
    np.testing.assert_allclose(bar[-1], picture[160, 639], atol=1)
    assert len(bar) > 250


@pytest.mark.parametrize(
    ("finding", "found", "said"),
    [
        ("pneumonia", True, "Probability given to this image: 0.250 for pneumonia"),
        ("", True, "Probability given to this image: 0.250"),
        ("a\nb", False, "Probability given to this image: 0.250 for a\\x0ab"),
    ],
)
def test_the_legend_has_score_and_meaning(finding: str, *, found: bool, said: str) -> None:
    score, meaning, caption = Legend(finding, 0.25).lines(found=found)
    assert (score, caption) == (said, CAPTION)
    assert ("nothing raised the score" in meaning) is not found


def test_a_long_finding_is_cut_to_the_picture() -> None:
    square, heat = np.zeros((320, 320), np.uint16), np.ones((2, 2), np.float32)
    long = side_by_side(square, heat, Legend("w" * 80, 0.25))
    assert long.shape == side_by_side(square, heat, LEGEND).shape
    assert (long[320:, -4:] == 0).all()


def test_where_the_map_is_zero_the_image_is_unchanged() -> None:
    picture = side_by_side(RAMP, np.zeros((2, 2), np.float32), LEGEND)
    left, right = picture[:320, :320], picture[:320, 320:640]
    np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(left[::5, ::5, 0], np.rint(RAMP / 257.0))
    assert (left[:, :, 0] == left[:, :, 2]).all()


def test_the_map_lies_where_it_was_found() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 1  # top right
    picture = side_by_side(np.full((64, 64), 30000, np.uint16), heat, LEGEND)[:320].astype(int)
    picture = picture[:, :640]
    changed = np.abs(picture[:, 320:] - picture[:, :320]).max(axis=2)
    assert changed[:40, 280:].min() > 20
    assert changed[160:].max() == 0
    assert changed[:, :160].max() == 0
    hottest = picture[0, -1]
    assert hottest[0] > hottest[2]  # towards yellow
