"""Image files that a person names, read a few at a time; nothing of them is kept on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.data.cache import fingerprint_of
from client.data.discover import find_images
from client.imaging.decoders import Decoders, Refusal
from client.imaging.facts import ImageFacts
from client.imaging.image import fit_square
from client.imaging.limits import helper_count
from shared.errors import SiteError


@dataclass(frozen=True)
class ReadImage:
    """What the network sees and where it comes from: a square of 0 to 65535, three in colour."""

    path: Path
    square: NDArray[np.uint16] = field(repr=False)
    facts: ImageFacts
    fingerprint: str
    """Equal for the same image in different files."""


@dataclass(frozen=True)
class Refused:
    """A file that admission would set aside, and its reason."""

    path: Path
    reason: str


def find_files(named: Sequence[Path]) -> tuple[Path, ...]:
    """The files that are named and the candidates in the folders that are, each once.

    Raises SiteError where nothing has that name and where a folder cannot be listed.
    """
    found: dict[Path, Path] = {}
    for path in named:
        if not path.exists():
            raise SiteError(
                f"There is no file or folder {path}; name DICOM, PNG or JPEG images, or folders "
                "that hold them."
            )
        for file in find_images(path) if path.is_dir() else (path,):
            found.setdefault(file.absolute(), file)
    return tuple(found.values())


def printable(path: Path | str) -> str:
    """The name as UTF-8 can write it: a file system may hold bytes that are no text."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def read_in_batches(
    files: Sequence[Path],
    size: int,
    fit: str,
    batch: int,
    maximum_pixels: int,
    channels: int = 1,
) -> Iterator[list[ReadImage | Refused]]:
    """The files in their order, `batch` at a time: as few are in memory."""
    with (
        ThreadPoolExecutor(helper_count(maximum_pixels, channels)) as pool,
        Decoders(maximum_pixels, channels=channels) as decoders,
    ):
        for start in range(0, len(files), batch):
            some = files[start : start + batch]
            yield list(pool.map(lambda path: _read(path, size, fit, decoders), some))


def _read(path: Path, size: int, fit: str, decoders: Decoders) -> ReadImage | Refused:
    with decoders.decoded(path) as decoded:
        if isinstance(decoded, Refusal):
            return Refused(path, decoded.reason)
        square = fit_square(decoded.pixels, size, fit)
    return ReadImage(path, square, decoded.facts, fingerprint_of(square))
