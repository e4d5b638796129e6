"""Features on disk: a folder for each function of images, a file for each image, memory-mapped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from client.data.kept_file import write_kept
from shared.schedule import Stage

VERSION = 1
_TENSOR, _KEY = "features", "key"
_LEFT_FREE = 2 * 1024**3
"""Bytes of the disk that stay free whatever the limit."""


@dataclass(frozen=True)
class FeatureKey:
    """All that features depend on beside the image: where anything differs, so does the key."""

    prefix: str
    """Digest of the weights of all stages before the boundary."""
    boundary: Stage
    backbone: str
    preparation: str
    """How an image file became a square of pixels."""
    views: str
    arithmetic: str
    """Device type, number format and PyTorch's version."""
    storage: str
    version: int = VERSION

    def text(self) -> str:
        """All of it, as every file repeats it."""
        return json.dumps(asdict(self), sort_keys=True)

    def folder(self) -> str:
        """The name of its folder."""
        return hashlib.sha256(self.text().encode()).hexdigest()[:32]


class FeatureStore:
    """The features that a site keeps; derived from patients' images, so for this user alone."""

    def __init__(self, root: Path, limit: int) -> None:
        """Below `root`; `limit` in bytes."""
        self.root = root
        self.limit = limit

    def path(self, key: FeatureKey, digest: str) -> Path:
        """Where the features of the image with that digest lie."""
        return self.root / key.folder() / digest[:2] / f"{digest}.safetensors"

    def has(self, key: FeatureKey, digest: str) -> bool:
        """Whether there is a file; `read` says whether it is whole."""
        return self.path(key, digest).is_file()

    def read(self, key: FeatureKey, digest: str, view: int) -> Tensor | None:
        """One view's features (C, H, W), or None where they must be computed anew."""
        try:
            with safe_open(self.path(key, digest), framework="pt") as file:
                if (file.metadata() or {}).get(_KEY) != key.text():
                    return None
                views = file.get_slice(_TENSOR)
                if view >= views.get_shape()[0]:
                    return None
                features: Tensor = views[view]
        except (OSError, SafetensorError):
            return None
        return features

    def write(self, key: FeatureKey, digest: str, features: Tensor) -> None:
        """Keep all views of an image, (views, C, H, W). Raises OSError."""
        data = save({_TENSOR: features.cpu().contiguous()}, {_KEY: key.text()})
        write_kept(self.path(key, digest), data)

    def used(self, keys: Collection[FeatureKey]) -> None:
        """Mark as used just now, so that others make room first."""
        for key in keys:
            with contextlib.suppress(OSError):
                os.utime(self.root / key.folder())

    def room(self, keep: Collection[FeatureKey]) -> int:
        """Bytes that may be written when all but `keep` is removed."""
        if not self.limit:
            return 0
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        sizes = self._sizes()
        kept = sum(sizes.get(key.folder(), 0) for key in keep)
        free = shutil.disk_usage(self.root).free + sum(sizes.values()) - kept - _LEFT_FREE
        return max(0, min(self.limit - kept, free))

    def make_room(self, needed: int, keep: Collection[FeatureKey]) -> None:
        """Remove what was not used for longest until `needed` bytes fit; never what is to keep."""
        sizes, kept = self._sizes(), {key.folder() for key in keep}
        free = shutil.disk_usage(self.root).free - _LEFT_FREE
        excess = needed - min(free, self.limit - sum(sizes.values()))
        for name in sorted(sizes, key=lambda name: _time(self.root / name)):
            if excess <= 0:
                return
            if name not in kept:
                shutil.rmtree(self.root / name, ignore_errors=True)
                excess -= sizes[name]

    def _sizes(self) -> dict[str, int]:
        """Bytes by folder."""
        if not self.root.is_dir():
            return {}
        return {
            folder.name: sum(_size(path) for path in folder.rglob("*"))
            for folder in self.root.iterdir()
            if folder.is_dir()
        }


def arithmetic_of(device: str, dtype: torch.dtype) -> str:
    """How features are computed, as a key names it."""
    return f"{device} {str(dtype).removeprefix('torch.')} torch {torch.__version__}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # another process has just removed it
        return 0


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
