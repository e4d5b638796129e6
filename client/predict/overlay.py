"""An explanation as an image: what the network saw, next to it the same under its map, a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from shared.plain import shown

CAPTION = "Explanation of a model, research only: no diagnosis"
PANEL = 320
"""Least pixels of a panel's side: smaller squares are enlarged by a whole factor."""
_TICKS = ((1.0, "strongest"), (0.5, "half"), (0.0, "none"))
_GREY = 128
"""What the scale's colours are mixed with, as the map's are with the image."""
_OPACITY = 0.6
# Rising in lightness, so that it reads in grey print too (the path of matplotlib's inferno).
_COLOURS = np.array(
    [(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], dtype=np.float64
)

_WHITE = (255, 255, 255)

RgbImage = NDArray[np.uint8]


@dataclass(frozen=True)
class Legend:
    """What is said of an explained image: the finding, "" where it has no name, and its score."""

    finding: str
    probability: float

    def lines(self, *, found: bool) -> tuple[str, ...]:
        """The text below the image; `found` is whether the map shows anything."""
        meaning = (
            "Right: what raised the score (Grad-CAM), relative to this image's strongest place."
            if found
            else "Right: nothing raised the score (Grad-CAM)."
        )
        return (
            f"Probability given to this image: {self.probability:.3f}"
            + (f" for {shown(self.finding)}" if self.finding else ""),
            f"Left: what the network saw. {meaning}",
            CAPTION,
        )


def side_by_side(square: NDArray[np.uint16], heat: NDArray[np.float32], legend: Legend) -> RgbImage:
    """Image, overlay and the map's scale, above the legend, as RGB.

    `square` is size x size of 0 to 65535, in colour 3 x size x size; `heat` (h, w) in [0, 1] covers
    the same area. Where the map is 0 the overlay is the image itself.
    """
    factor = -(-PANEL // square.shape[-1])
    levels = np.rint(square.astype(np.float64) / 65535 * 255).astype(np.uint8)
    levels = levels.repeat(factor, axis=-2).repeat(factor, axis=-1)
    side = levels.shape[-1]
    image = np.broadcast_to(levels, (3, side, side)).transpose(1, 2, 0)
    level = _enlarged(heat, side)[:, :, None]
    above = np.concatenate([image, _mixed(image, level), _scale(side)], axis=1)
    lines = legend.lines(found=bool(heat.any()))
    return np.concatenate([above, _caption(above.shape[1], lines, _letters(side))])


def _enlarged(heat: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """The map at the image's pixels, bilinear as in the paper."""
    grid = torch.from_numpy(np.ascontiguousarray(heat, dtype=np.float32))[None, None]
    large = torch.nn.functional.interpolate(grid, (side, side), mode="bilinear")
    return large[0, 0].numpy().astype(np.float64)


def _coloured(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """(h, w) in [0, 1] to RGB of 0 to 255, (h, w, 3)."""
    places = np.linspace(0, 1, len(_COLOURS))
    return np.stack([np.interp(level, places, _COLOURS[:, band]) for band in range(3)], axis=2)


def _mixed(image: NDArray[np.uint8], level: NDArray[np.float64]) -> RgbImage:
    """The image (h, w, 3) under the colours of a level (h, w, 1) in [0, 1]."""
    mixed = image * (1 - _OPACITY * level) + _OPACITY * level * _coloured(level[:, :, 0])
    return np.rint(mixed).astype(np.uint8)


def _scale(height: int) -> RgbImage:
    """A bar from the map's 1 at the top to its 0, with words at its ticks."""
    size = _letters(height)
    bar, margin = 2 * size, size // 2
    strip = Image.new("RGB", (bar + 7 * size, height))
    draw = ImageDraw.Draw(strip)
    level = np.linspace(1, 0, height - 2 * size)[:, None, None].repeat(bar, axis=1)
    grey = np.full((*level.shape[:2], 3), _GREY, dtype=np.uint8)
    strip.paste(Image.fromarray(_mixed(grey, level)), (margin, size))
    for value, word in _TICKS:
        y = size + round((1 - value) * (height - 2 * size - 1))
        draw.text((bar + 2 * margin, y), word, fill=_WHITE, font=_font(size), anchor="lm")
    return np.asarray(strip)


def _caption(width: int, lines: Sequence[str], size: int) -> RgbImage:
    """The lines in white on black, each cut where it would be wider."""
    step = round(1.4 * size)
    strip = Image.new("RGB", (width, step * len(lines) + size // 2))
    draw, font = ImageDraw.Draw(strip), _font(size)
    for number, line in enumerate(lines):
        fitting = line
        while draw.textlength(fitting, font=font) > width - size:
            fitting = f"{fitting[:-2]}\u2026"
        draw.text((size // 2, step * number + size // 4), fitting, fill=_WHITE, font=font)
    return np.asarray(strip)


def _letters(side: int) -> int:
    """Size of the letters, which grows with the panels."""
    return max(11, round(11 * side / PANEL / 1.5))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
