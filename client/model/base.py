"""The pretrained base of this process, read once for as long as its file stays the same."""

from __future__ import annotations

import functools
from pathlib import Path

from shared.model.pretrained import Base, checkpoint_in_place, load_base
from shared.run.events import show_download
from shared.settings.config import RunConfig

Stamp = tuple[str, int, int, int]


def site_base(config: RunConfig, site_weights: str | None) -> Base:
    """The base that a run asks for; `site_weights` is the site's own choice of the file.

    A file that its owner has replaced is read again. Raises as `load_base`.
    """
    return _base(config, site_weights, _stamp(checkpoint_in_place(config, site_weights)))


def forget_bases() -> None:
    """Let go of the bases that are kept."""
    _base.cache_clear()


@functools.lru_cache(maxsize=2)
def _base(config: RunConfig, site_weights: str | None, _stamp: Stamp | None) -> Base:
    return load_base(config, site_weights, show_download)


def _stamp(path: Path | None) -> Stamp | None:
    try:
        found = path and path.stat()
    except OSError:
        return None
    return (str(path), found.st_ino, found.st_size, found.st_mtime_ns) if found else None
