"""Contributions kept on disk, for strategies that need every site's values at once.

One private file of float32 for each site, all tensors behind each other, read in blocks: memory
depends neither on the size of the model nor on the number of sites. Plain numbers, since a
container's reader would hold one mapping a site open; nobody but this process reads them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import RunError
from shared.wire.arrays import Arrays

_PREFIX = ".updates-"
_BLOCK = 2**22  # elements of all sites together that are in memory at once


@dataclass(frozen=True)
class Spilled:
    """Where one site's values lie, and its number of training images."""

    path: Path
    images: int


class Spill:
    """The contributions of one round; what is read back is in the order of the sites' names."""

    def __init__(self, folder: Path | None, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Files lie inside `folder`, else the system's for temporary files.

        A folder of one's own is cleared of what a killed process left there. RunError where no
        file can be made in it.
        """
        self._shapes = dict(shapes)
        self._sites: dict[str, Spilled] = {}
        if folder is not None:
            for left in folder.glob(f"{_PREFIX}*"):
                shutil.rmtree(left, ignore_errors=True)
        try:
            self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
        except OSError as error:
            raise RunError(
                f"The sites' updates cannot be kept in {folder} ({error}). Fix this and continue "
                "with --resume."
            ) from error

    def add(self, site: str, arrays: Mapping[str, NDArray[np.float32]], images: int) -> None:
        """Write one site's tensors, in the order of `shapes`.

        RunError where the disk is full, and where the folder was removed meanwhile.
        """
        path = self.folder / str(len(self._sites))  # a site's name is no name of a file
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                for key in self._shapes:
                    file.write(np.ascontiguousarray(arrays[key], np.float32).reshape(-1).data)
        except OSError as error:
            if not self.folder.is_dir():
                raise _lost(self.folder) from error
            path.unlink(missing_ok=True)
            raise RunError(
                f"The update of {site} cannot be kept in {self.folder.parent} ({error}). Make room "
                "there and continue with --resume."
            ) from error
        self._sites[site] = Spilled(path, images)

    @property
    def images(self) -> list[int]:
        """Training images by site, in the order of the sites' names."""
        return [self._sites[site].images for site in sorted(self._sites)]

    def size(self, keys: int | None = None) -> int:
        """Elements of the first so many tensors, of all by default."""
        shapes = list(self._shapes.values())[:keys]
        return sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes)

    def blocks(self, size: int) -> Iterator[NDArray[np.float32]]:
        """The first `size` elements as matrices (sites, some of the elements)."""
        width = max(1, _BLOCK // max(1, len(self._sites)))
        paths = [self._sites[site].path for site in sorted(self._sites)]
        for start in range(0, size, width):
            count = min(width, size - start)
            yield np.stack([_read(path, start, count) for path in paths])

    def load(self, position: int) -> Arrays:
        """All tensors of the site at this position in the order of names."""
        site = sorted(self._sites)[position]
        return self.split(_read(self._sites[site].path, 0, self.size()))

    def take(self, site: str) -> Arrays:
        """All tensors of this site, whose file is then removed."""
        path = self._sites.pop(site).path
        arrays = self.split(_read(path, 0, self.size()))
        path.unlink(missing_ok=True)
        return arrays

    def split(self, values: NDArray[np.float32]) -> Arrays:
        """One vector of all elements as tensors."""
        arrays: Arrays = {}
        for key, shape in self._shapes.items():
            count = int(np.prod(shape, dtype=np.int64))
            arrays[key], values = values[:count].reshape(shape), values[count:]
        return arrays

    def close(self) -> None:
        """Remove the files."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _read(path: Path, start: int, count: int) -> NDArray[np.float32]:
    try:
        values = np.fromfile(path, np.float32, count, offset=4 * start)
    except OSError as error:
        raise _lost(path.parent) from error
    if values.size != count:
        raise _lost(path.parent)
    return values


def _lost(folder: Path) -> RunError:
    return RunError(
        f"The sites' updates of this round in {folder} were removed, cut short or closed to this "
        "user by another program; leave the run's folder to the run, and continue with --resume."
    )
