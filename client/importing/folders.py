"""A folder with a subfolder of images for each class, as many collections are published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.data.class_folders import class_folders, require_no_parts
from client.data.discover import find_images
from client.imaging.decoders import Decoders, Refusal
from client.imaging.limits import helper_count
from client.importing.labelled_images import MOST_BYTES, LabelledImages, damaged
from shared.errors import SiteError

MOST_CLASSES = 256
MOST_PIXELS = 4_000_000
"""Of one image: all of a collection are in memory at a time."""
_CHANNELS = 3

Pixels = NDArray[np.uint8]


def classes_of(folder: Path) -> Mapping[int, str]:
    """The names of the subfolders by their number in the order of the alphabet.

    SiteError where there are none, or more than 256, and where they are parts of a data set.
    """
    names = list(class_folders(folder))
    require_no_parts(folder, names)
    if not 0 < len(names) <= MOST_CLASSES:
        raise SiteError(
            f"{folder} has {len(names)} subfolders; it must have one for each class, at most "
            f"{MOST_CLASSES}, with its images."
        )
    return dict(enumerate(names))


def read_folder(folder: Path) -> LabelledImages:
    """All images, in red, green and blue of 8 bits: the first of each class, then the second.

    SiteError where they are of several sizes, one cannot be read, or there are none.
    """
    classes, folders = classes_of(folder), class_folders(folder)
    placed = sorted(
        (place, label, path)
        for label, name in classes.items()
        for place, path in enumerate(_images_in(folders[name]))
    )
    if not placed:
        raise SiteError(f"There is no PNG or JPEG image in the subfolders of {folder}.")
    paths = [path for _, _, path in placed]
    labels = np.array([label for _, label, _ in placed], dtype=np.uint8)
    with (
        Decoders(MOST_PIXELS, channels=_CHANNELS) as decoders,
        ThreadPoolExecutor(helper_count(MOST_PIXELS, _CHANNELS)) as pool,
    ):
        first = _read(paths[0], decoders)
        if (bytes_ := first.nbytes * len(paths)) > MOST_BYTES:
            raise damaged(
                folder, f"has {bytes_:,} bytes of pixels; at most {MOST_BYTES:,} are read"
            )
        pixels = np.empty((len(paths), *first.shape), dtype=np.uint8)
        for place, own in enumerate(pool.map(partial(_read, decoders=decoders), paths)):
            if own.shape != first.shape:
                raise SiteError(
                    f"{paths[place]} is {_size(own)} and {paths[0].name} is {_size(first)}; "
                    "images of one size are imported. Use `fedthaw site new` for others."
                )
            pixels[place] = own
    return LabelledImages(pixels, labels)


def _images_in(folders: Sequence[Path]) -> list[Path]:
    return [path for folder in folders for path in find_images(folder)]


def _read(path: Path, decoders: Decoders) -> Pixels:
    with decoders.decoded(path) as decoded:
        if isinstance(decoded, Refusal):
            raise SiteError(
                f"{path} cannot be imported: {decoded.reason}. Replace it or take it out."
            )
        return np.rint(decoded.pixels * 255).astype(np.uint8)


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]} pixels"
