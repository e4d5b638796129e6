"""Every image file of a site, read once into the cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from client.data.cache import ImageCache, fingerprint_of
from client.data.discover import find_images
from client.imaging import image
from client.imaging.dicom import read_patient_id
from client.imaging.facts import ImageFacts
from shared.errors import ImageRejected

# Decoding a radiograph of 15 megapixels takes some 200 MB for a moment.
_MAXIMUM_THREADS = 8


@dataclass(frozen=True)
class Picture:
    """What is kept of one content: facts and the SHA-256 of its pixels, or why there is none."""

    facts: ImageFacts | None = None
    fingerprint: str | None = None
    reason: str | None = None
    stored_at: float | None = None
    patient_id: str | None = None


@dataclass(frozen=True)
class ImageFile:
    """One file: its path relative to the images folder, its SHA-256 and its picture."""

    relative: str
    digest: str
    picture: Picture


def read_images(
    folder: Path, cache: ImageCache, fit: str, on_image: Callable[[int, int], None] | None
) -> tuple[ImageFile, ...]:
    """Read all candidate files below `folder`, sorted by path; equal contents are decoded once.

    A file that was kept before is not decoded; one that was rejected is tried again, so that a
    decoder installed since is used. `on_image(done, total)` is called in this thread.
    Raises SiteError where the folder cannot be listed or the cache cannot be written.
    """
    paths = find_images(folder)
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MAXIMUM_THREADS)) as pool:
        try:
            digests = list(pool.map(_digest, paths))
            sources = {digest: path for digest, path in zip(digests, paths, strict=True) if digest}
            tasks = pool.map(partial(_picture, cache=cache, fit=fit), sources.items())
            decoded = zip(sources, tasks, strict=True)
            pictures = dict(_reported(decoded, len(sources), on_image))
        except BaseException:
            # Otherwise an interruption or a full disk would wait for all the other images.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    unreadable = Picture(reason="file cannot be read")
    return tuple(
        ImageFile(path.relative_to(folder).as_posix(), digest, pictures.get(digest, unreadable))
        for path, digest in zip(paths, digests, strict=True)
    )


def _reported(
    pictures: Iterable[tuple[str, Picture]],
    total: int,
    on_image: Callable[[int, int], None] | None,
) -> Iterable[tuple[str, Picture]]:
    for done, item in enumerate(pictures, start=1):
        if on_image is not None:
            on_image(done, total)
        yield item


def _digest(path: Path) -> str:
    """SHA-256 of the content, or "" for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _picture(source: tuple[str, Path], cache: ImageCache, fit: str) -> Picture:
    digest, path = source
    entry = cache.entry(digest)
    if entry is not None:
        return Picture(entry.facts, entry.fingerprint, stored_at=entry.stored_at)
    try:
        decoded = image.decode(path)
    except ImageRejected as rejection:
        return Picture(reason=rejection.reason, patient_id=read_patient_id(path))
    square = image.fit_square(decoded.pixels, cache.size, fit)
    cache.store(digest, square, decoded.facts)
    return Picture(decoded.facts, fingerprint_of(square))
