"""An explanation as a picture: what the network saw, and beside it the same under its map."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

CAPTION = "Explanation of a model, research only: no diagnosis"
PANEL = 320
"""Least pixels of a panel's side: smaller squares are enlarged by a whole factor."""
_STRIP = 16
_OPACITY = 0.6
# Rising in lightness, so that it reads in grey print too (the path of matplotlib's inferno).
_COLOURS = np.array(
    [(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], dtype=np.float64
)

Picture = NDArray[np.uint8]


def side_by_side(square: NDArray[np.uint16], heat: NDArray[np.float32]) -> Picture:
    """Image, overlay and caption as RGB.

    `square` is size x size of 0 to 65535, `heat` (h, w) in [0, 1] covers the same area. Where the
    map is 0 the overlay is the image itself.
    """
    factor = -(-PANEL // len(square))
    grey = np.rint(square.astype(np.float64) / 65535 * 255).astype(np.uint8)
    grey = grey.repeat(factor, axis=0).repeat(factor, axis=1)
    image = np.repeat(grey[:, :, None], 3, axis=2)
    level = _enlarged(heat, len(grey))[:, :, None]
    mixed = image * (1 - _OPACITY * level) + _OPACITY * level * _coloured(level[:, :, 0])
    both = np.concatenate([image, np.rint(mixed).astype(np.uint8)], axis=1)
    return np.concatenate([both, _caption(both.shape[1])])


def _enlarged(heat: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """The map at the image's pixels, bilinear as in the paper."""
    grid = torch.from_numpy(np.ascontiguousarray(heat, dtype=np.float32))[None, None]
    large = torch.nn.functional.interpolate(grid, (side, side), mode="bilinear")
    return large[0, 0].numpy().astype(np.float64)


def _coloured(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """(h, w) in [0, 1] to RGB of 0 to 255, (h, w, 3)."""
    places = np.linspace(0, 1, len(_COLOURS))
    return np.stack([np.interp(level, places, _COLOURS[:, band]) for band in range(3)], axis=2)


def _caption(width: int) -> Picture:
    strip = Image.new("RGB", (width, _STRIP))
    font = ImageFont.load_default(size=11)
    ImageDraw.Draw(strip).text((3, 1), CAPTION, fill=(255, 255, 255), font=font)
    return np.asarray(strip)
