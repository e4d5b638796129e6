"""A decoded image to the square that the network sees."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms  # torchvision ships no types

from client.imaging.decode import decode
from client.imaging.facts import DecodedImage, ImageFacts
from shared.limits import ImageFit

__all__ = ["FITS", "DecodedImage", "ImageFacts", "decode", "fit_square"]

FITS = tuple(map(str, ImageFit))


def fit_square(pixels: NDArray[np.float32], size: int, fit: str) -> NDArray[np.uint16]:
    """Make rows x columns in [0, 1] a `size` x `size` square of 0 to 65535.

    Of rows x columns x 3 it is 3 x `size` x `size`, each channel by itself.

    `pad` adds black evenly (the odd line at the bottom or right), `crop` keeps the centre,
    `stretch` changes the aspect. Integers of 16 bits keep what a 12- or 16-bit detector
    resolved in half the space of float32; the range that the pretrained network expects is the
    dataset's business, so that one cached image serves every network.
    Raises ValueError for another `fit`.
    """
    if fit not in FITS:
        raise ValueError(f"fit is {fit!r}; it must be one of {', '.join(FITS)}.")
    rows, columns = pixels.shape[:2]
    ordered = pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    values = torch.from_numpy(np.ascontiguousarray(ordered, dtype=np.float32))
    image = values.reshape(-1, rows, columns)
    if fit == "pad":
        down, right = max(columns - rows, 0), max(rows - columns, 0)
        border = [right // 2, down // 2, right - right // 2, down - down // 2]
        image = transforms.pad(image, border, fill=[0.0])
    elif fit == "crop":
        side = min(rows, columns)
        image = transforms.center_crop(image, [side, side])
    image = transforms.resize(
        image, [size, size], interpolation=InterpolationMode.BILINEAR, antialias=True
    )
    square: NDArray[np.float32] = (image[0] if pixels.ndim == 2 else image).numpy()
    return np.rint(np.clip(square, 0, 1) * 65535).astype(np.uint16)
