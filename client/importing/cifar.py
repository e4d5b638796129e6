"""CIFAR-10's and CIFAR-100's binary files (cs.toronto.edu/~kriz/cifar.html).

Each image is its label, in CIFAR-100 a coarse and a fine one, and 32 x 32 bytes of red, of green
and of blue, row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from client.importing.labelled_images import MOST_BYTES, LabelledImages, damaged

SIDE = 32
_PIXELS = 3 * SIDE * SIDE


def read_cifar(files: Sequence[Path]) -> LabelledImages:
    """The images of several files, in their order; CIFAR-100 with its fine labels.

    SiteError where a file is cut or holds something else.
    """
    parts = [_read(path) for path in files]
    return LabelledImages(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )


def _read(path: Path) -> LabelledImages:
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise damaged(path, f"has {size:,} bytes; at most {MOST_BYTES:,} are read")
    # Both divide it only from 3,074 images of CIFAR-10 on, which no published file has.
    labels = next((n for n in (1, 2) if size and size % (n + _PIXELS) == 0), 0)
    if not labels:
        raise damaged(
            path,
            f"has {size:,} bytes, which is not a multiple of CIFAR's {1 + _PIXELS:,} or "
            f"{2 + _PIXELS:,} bytes",
        )
    rows = np.fromfile(path, dtype=np.uint8).reshape(-1, labels + _PIXELS)
    channels = rows[:, labels:].reshape(-1, 3, SIDE, SIDE)
    return LabelledImages(channels.transpose(0, 2, 3, 1).copy(), rows[:, labels - 1].copy())
