"""Every image file of a site, read once into the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from client.data.cache import ImageCache, fingerprint_of
from client.data.discover import find_images
from client.data.image_file import ImageContent, ImageFile
from client.imaging.decoders import Decoders, Refusal
from client.imaging.facts import check_size
from client.imaging.image import fit_square
from client.imaging.limits import helper_count
from shared.errors import ImageRejected

CHANGED = "the file changed while it was read"


def read_images(
    folder: Path,
    cache: ImageCache,
    fit: str,
    maximum_pixels: int,
    on_image: Callable[[int, int], None] | None,
) -> tuple[ImageFile, ...]:
    """Read all candidate files below `folder`, sorted by path; equal contents are decoded once.

    A file that was kept before is not decoded; one that was rejected is tried again, so that a
    decoder installed since is used. One that is replaced meanwhile is rejected.
    `on_image(done, total)` is called in this thread.
    A thread for each helper process: it makes the square of what the helper has decoded.
    Raises SiteError where the folder cannot be listed or the cache cannot be written, and
    FedThawError where no helper can start.
    """
    paths = find_images(folder)
    read = partial(_content, cache=cache, fit=fit, maximum_pixels=maximum_pixels)
    with (
        Decoders(maximum_pixels, channels=cache.channels) as decoders,
        ThreadPoolExecutor(helper_count(maximum_pixels, cache.channels)) as pool,
    ):
        try:
            digests = list(pool.map(_digest, paths))
            sources = {digest: path for digest, path in zip(digests, paths, strict=True) if digest}
            tasks = pool.map(partial(read, decoders=decoders), sources.items())
            decoded = zip(sources, tasks, strict=True)
            contents = dict(_reported(decoded, len(sources), on_image))
        except BaseException:
            # Otherwise an interruption or a full disk would wait for all the other images.
            decoders.close()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    unreadable = ImageContent(reason="file cannot be read")
    return tuple(
        ImageFile(path.relative_to(folder).as_posix(), digest, contents.get(digest, unreadable))
        for path, digest in zip(paths, digests, strict=True)
    )


def _reported(
    contents: Iterable[tuple[str, ImageContent]],
    total: int,
    on_image: Callable[[int, int], None] | None,
) -> Iterable[tuple[str, ImageContent]]:
    for done, item in enumerate(contents, start=1):
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


def _content(
    source: tuple[str, Path],
    cache: ImageCache,
    fit: str,
    maximum_pixels: int,
    decoders: Decoders,
) -> ImageContent:
    digest, path = source
    entry = cache.entry(digest)
    if entry is not None:
        try:  # it may have been kept under another limit
            check_size(entry.facts.rows, entry.facts.columns, maximum_pixels)
        except ImageRejected as rejection:
            return ImageContent(reason=rejection.reason, patient_id=entry.facts.patient_id)
        return ImageContent(entry.facts, entry.fingerprint, stored_at=entry.stored_at)
    with decoders.decoded(path) as decoded:
        if not isinstance(decoded, Refusal):
            square = fit_square(decoded.pixels, cache.size, fit)
            # Otherwise the cache would give another file's content under this digest, for good.
            if _digest(path) != digest:
                return ImageContent(reason=CHANGED)
            cache.store(digest, square, decoded.facts)
            return ImageContent(decoded.facts, fingerprint_of(square))
    return ImageContent(reason=decoded.reason, patient_id=decoders.patient_id(path))
