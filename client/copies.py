"""Image files at two sites of a simulation, whose patients may be trained and validated on.

Within a site admission sees this; no site sees another's images, but a simulation has all folders.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path

from client.data.discover import find_images
from client.settings import load_site

_LOOKED_AT = 2**16
"""Bytes from the middle of a file; headers and margins are more often alike."""


def images_at_two_sites(folders: Sequence[Path]) -> tuple[str, ...]:
    """A sentence for each two sites that have the same image files, links included; no names.

    A folder of images that two sites share is not meant: their tables say whose patients are whose.
    Files count as the same where size and middle are, so that large folders need not be read.
    """
    images = {site.name: site.images.resolve() for site in map(load_site, folders)}
    found = {name: _by_size(folder) for name, folder in images.items()}
    sizes = Counter(size for own in found.values() for size in own)
    common = {size for size, sites in sizes.items() if sites > 1}
    looked = {
        name: {key for size in common & own.keys() for key in _keys(size, own[size])}
        for name, own in found.items()
    }
    return tuple(
        _sentence(number, one, other)
        for one, other in combinations(looked, 2)
        if not (
            images[one].is_relative_to(images[other]) or images[other].is_relative_to(images[one])
        )
        and (number := len(looked[one] & looked[other]))
    )


def _sentence(number: int, one: str, other: str) -> str:
    files, them = ("image files are", "them") if number > 1 else ("image file is", "it")
    return (
        f"{number:,} {files} at both {one} and {other}. A patient of two sites may be trained on "
        "at one and validated at the other, and the metrics then flatter the model: take "
        f"{them} out of one of the two."
    )


def _by_size(images: Path) -> dict[int, list[Path]]:
    sizes: dict[int, list[Path]] = defaultdict(list)
    for path in find_images(images):
        with suppress(OSError):  # admission counts what cannot be read
            sizes[path.stat().st_size].append(path)
    return sizes


def _keys(size: int, paths: Sequence[Path]) -> Iterator[tuple[int, bytes]]:
    for path in paths:
        with suppress(OSError), path.open("rb") as file:
            file.seek(max(0, size - _LOOKED_AT) // 2)
            yield size, hashlib.sha256(file.read(_LOOKED_AT)).digest()
