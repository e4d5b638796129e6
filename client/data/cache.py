"""Preprocessed images on disk, so that a radiograph is decoded once and not at every start."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from client.data.kept_file import PARTIAL, remove_partial, write_kept
from client.imaging.facts import ImageFacts
from shared.errors import SiteError
from shared.storage.json_file import DamagedFile, parse_json, typed

# Raised whenever decoding or fitting changes what it yields; older entries are then not found.
VERSION = "v5"
_SMALL = 2 * 64 * 64
"""Bytes of a channel of an image that is kept in memory: reading its file takes longer than a step
on it."""
_MOST_KEPT = 256 * 2**20
"""Bytes of a channel of all of them."""
_FACTS = {field.name for field in dataclasses.fields(ImageFacts)}


@dataclass(frozen=True)
class CacheEntry:
    """A kept image: its pixels of 0 to 65535, its facts, the pixels' SHA-256 and its time."""

    pixels: NDArray[np.uint16]
    facts: ImageFacts
    fingerprint: str
    stored_at: float


class ImageCache:
    """One safetensors file an image, named by the SHA-256 of the source file's content.

    An entry holds patients' pixels and identifiers: only this user may read it.
    """

    def __init__(self, folder: Path, size: int, fit: str, channels: int = 1) -> None:
        self.folder = folder
        self.size = size
        self.channels = channels
        self.shape = (size, size) if channels == 1 else (channels, size, size)
        colour = "" if channels == 1 else "-rgb"
        self.preparation = f"{size}-{fit}{colour}-{VERSION}"
        """How images were prepared: entries of another preparation are other images."""
        self._images = folder / "images" / self.preparation
        self._kept: dict[str, NDArray[np.uint16]] = {}

    def path(self, digest: str) -> Path:
        """Where the entry of that digest lies."""
        return self._images / digest[:2] / f"{digest}.safetensors"

    def entry(self, digest: str) -> CacheEntry | None:
        """The entry, or None where there is none or where it is damaged."""
        path = self.path(digest)
        try:
            with safe_open(path, framework="np") as file:
                metadata = file.metadata() or {}
                pixels = file.get_tensor("pixels")
            record = typed(parse_json(metadata["facts"]), dict[str, Any])
            if record.keys() != _FACTS:
                return None  # kept by a fedthaw that asked other things of a header
            facts = typed(record, ImageFacts)
            stored_at = path.stat().st_mtime
        except (OSError, SafetensorError, KeyError, DamagedFile):
            return None
        if pixels.shape != self.shape or pixels.dtype != np.uint16:
            return None
        fingerprint = fingerprint_of(pixels)
        if metadata.get("checksum") != _checksum(fingerprint, metadata["facts"]):
            return None
        return CacheEntry(pixels, facts, fingerprint, stored_at)

    def load(self, digest: str) -> NDArray[np.uint16] | None:
        """The image of 0 to 65535, in `shape`, or None where it must be prepared again."""
        if (kept := self._kept.get(digest)) is not None:
            return kept
        entry = self.entry(digest)
        if entry is None:
            return None
        size = entry.pixels.nbytes // self.channels
        if size <= _SMALL and size * len(self._kept) < _MOST_KEPT:
            entry.pixels.setflags(write=False)
            self._kept[digest] = entry.pixels
        return entry.pixels

    def facts(self, digest: str) -> ImageFacts | None:
        """The facts of the source file, or None where it must be read again."""
        entry = self.entry(digest)
        return None if entry is None else entry.facts

    def remove_leftovers(self) -> None:
        """Remove what killed processes left half written here, whatever its size and version."""
        remove_partial((self.folder / "images").glob(f"*/*/*{PARTIAL}"))

    def store(self, digest: str, pixels: NDArray[np.uint16], facts: ImageFacts) -> None:
        """Keep an image; a reader sees the whole entry or none.

        Raises SiteError where the cache cannot be written.
        """
        self._kept.pop(digest, None)
        text = json.dumps(dataclasses.asdict(facts), sort_keys=True)
        metadata = {"facts": text, "checksum": _checksum(fingerprint_of(pixels), text)}
        try:
            write_kept(self.path(digest), save({"pixels": pixels}, metadata))
        except OSError as error:
            raise SiteError(
                f"The image cache {self.folder} cannot be written ({error.strerror}); make room "
                "or check the permissions there, or name another folder with `cache` in [compute] "
                "of site.toml.",
                shareable="its image cache cannot be written; the site's own log says why",
            ) from error


def fingerprint_of(pixels: NDArray[np.uint16]) -> str:
    """SHA-256 of the preprocessed pixels: equal for the same image in different files."""
    return hashlib.sha256(pixels.astype("<u2").tobytes()).hexdigest()


def _checksum(fingerprint: str, facts: str) -> str:
    return hashlib.sha256(f"{fingerprint} {facts}".encode()).hexdigest()
