"""Features on disk: a folder for each function of images, a file for each image, memory-mapped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from client.data.kept_file import PARTIAL, remove_partial, write_kept
from shared.model.backbone import Part
from shared.storage.files import make_private_folder

VERSION = 1
_TENSOR, _KEY, _IMAGE, _CHECKSUMS = "features", "key", "image", "checksums"
_LEFT_FREE = 2 * 1024**3
"""Bytes of the disk that stay free whatever the limit."""


@dataclass(frozen=True)
class FeatureKey:
    """All that features depend on besides the image: where anything differs, so does the key."""

    prefix: str
    """Digest of the weights of all stages before the boundary."""
    boundary: Part
    backbone: str
    preparation: str
    """How an image file became a square of pixels."""
    views: str
    arithmetic: str
    """Device, dtype and PyTorch's version: another model of GPU may round otherwise."""
    storage: str
    version: int = VERSION

    @cached_property
    def text(self) -> str:
        """The whole key as text, as every file repeats it."""
        return json.dumps(asdict(self), sort_keys=True)

    @cached_property
    def folder(self) -> str:
        """The name of its folder."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:32]


class FeatureStore:
    """The features that a site keeps; derived from patients' images, so for this user alone."""

    def __init__(self, root: Path, limit: int) -> None:
        """Below `root`; `limit` in bytes."""
        self.root = root
        self.limit = limit
        self._checked: set[tuple[str, str, int]] = set()
        """Views that were read whole once, so that later passes do without the checksum."""

    def path(self, key: FeatureKey, digest: str) -> Path:
        """Where the features of the image with that digest lie."""
        return self.root / key.folder / digest[:2] / f"{digest}.safetensors"

    def has(self, key: FeatureKey, digest: str) -> bool:
        """Whether there is a file; `read` says whether it is whole."""
        return self.path(key, digest).is_file()

    def read(self, key: FeatureKey, digest: str, view: int) -> Tensor | None:
        """One view's features (C, H, W), or None where they must be computed again.

        A file that is damaged or another's is removed, so that the next round writes it again.
        """
        path = self.path(key, digest)
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                features: Tensor = file.get_slice(_TENSOR)[view]
        except OSError:
            return None
        except (SafetensorError, IndexError):
            features, metadata = torch.empty(0), {}
        if not self._is_whole(features, metadata, key, digest, view):
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return features

    def _is_whole(
        self, features: Tensor, metadata: dict[str, str], key: FeatureKey, digest: str, view: int
    ) -> bool:
        if (metadata.get(_KEY), metadata.get(_IMAGE)) != (key.text, digest):
            return False
        name = (key.folder, digest, view)
        if name not in self._checked:
            if metadata.get(_CHECKSUMS, "").split()[view : view + 1] != [_checksum(features)]:
                return False
            self._checked.add(name)
        return True

    def write(self, key: FeatureKey, digest: str, features: Tensor) -> None:
        """Keep all views of an image, (views, C, H, W). Raises OSError."""
        features = features.cpu().contiguous()
        checksums = " ".join(map(_checksum, features))
        metadata = {_KEY: key.text, _IMAGE: digest, _CHECKSUMS: checksums}
        write_kept(self.path(key, digest), save({_TENSOR: features}, metadata))

    def used(self, keys: Collection[FeatureKey]) -> None:
        """Mark as used just now, so that others make room first."""
        for key in keys:
            with contextlib.suppress(OSError):
                os.utime(self.root / key.folder)

    def room(self, keep: Collection[FeatureKey]) -> int:
        """Bytes that features may take when all but `keep` is removed. Raises OSError."""
        if not self.limit:
            return 0
        make_private_folder(self.root)
        sizes = self._sizes()
        kept = sum(sizes.get(key.folder, 0) for key in keep)
        free = shutil.disk_usage(self.root).free + sum(sizes.values()) - kept - _LEFT_FREE
        return max(0, min(self.limit - kept, free))

    def make_room(self, needed: int, keep: Collection[FeatureKey]) -> bool:
        """Whether `needed` bytes more fit, after what was not used for longest was removed.

        Never what is to keep, and nothing at all where that would not be enough. Raises OSError.
        """
        make_private_folder(self.root)
        sizes, kept = self._sizes(), {key.folder for key in keep}
        free = shutil.disk_usage(self.root).free - _LEFT_FREE
        excess = needed - min(free, self.limit - sum(sizes.values()))
        others = [name for name in sizes if name not in kept]
        if excess > sum(sizes[name] for name in others):
            return False
        self._remove(others, excess)
        return True

    def tidy(self) -> None:
        """Remove what killed processes left half written, and what is beyond the limit."""
        remove_partial(path for path in _files(self.root) if path.suffix == PARTIAL)
        sizes = self._sizes()
        self._remove(list(sizes), sum(sizes.values()) - self.limit)

    def remove(self, keys: Collection[FeatureKey]) -> None:
        """Remove all that was kept under these keys."""
        for key in keys:
            shutil.rmtree(self.root / key.folder, ignore_errors=True)

    def _remove(self, names: Collection[str], excess: int) -> None:
        """Those of these folders that were not used for longest, until `excess` bytes are gone."""
        for name in sorted(names, key=lambda name: _time(self.root / name)):
            if excess <= 0:
                return
            excess -= sum(map(_size, _files(self.root / name)))
            shutil.rmtree(self.root / name, ignore_errors=True)

    def _sizes(self) -> dict[str, int]:
        """Bytes by folder."""
        with contextlib.suppress(FileNotFoundError):
            return {
                name: sum(map(_size, _files(self.root / name))) for name in os.listdir(self.root)
            }
        return {}


def arithmetic_of(device: torch.device, dtype: torch.dtype) -> str:
    """How features are computed, as a key names it: a GPU with its model's name."""
    name = f" {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    return f"{device.type}{name} {str(dtype).removeprefix('torch.')} torch {torch.__version__}"


def _checksum(view: Tensor) -> str:
    # It finds what a crash or a disk left in a file; CRC-32 is a tenth of the time of a digest.
    return f"{zlib.crc32(view.contiguous().view(-1).view(torch.uint8).numpy().data):08x}"


def _files(folder: Path) -> Iterator[Path]:
    """All files below, of which others may remove some meanwhile."""
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # another process has just removed it
        return 0


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
