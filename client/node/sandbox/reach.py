"""Which files the working process needs, and which it must not reach."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from client.settings import SiteSettings

_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/opt/rocm", "/nix", "/proc", "/sys")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/shm")  # noqa: S108
_GPUS = ("nvidia*", "nvidia-caps/*", "dri/*", "kfd")


Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Reach:
    """Files and folders, with all that lies in them, that a process may read, or change too."""

    read: tuple[str, ...]
    write: tuple[str, ...]
    listed: tuple[str, ...] = ()
    """Folders whose names it may list, and no more."""

    def stamp(self) -> Stamp:
        """What the paths stand for now; a rule holds for the file, not for its name."""
        return tuple(_identity(path) for path in (*self.read, *self.write, *self.listed))


def reach_of(settings: SiteSettings, room: Path, kept: Path, secrets: Path) -> Reach:
    """What training on this site needs: Python, devices, the site's data, cache, weights, teacher.

    `secrets` is never within reach: of a folder above it, all else is. `room`, for temporary files,
    and `kept` may lie in it.
    """
    read = [
        *_SYSTEM, *_python(), str(settings.folder), str(settings.images), str(settings.labels),
        *_weights(settings), *([settings.teacher] if settings.teacher is not None else []),
    ]  # fmt: skip
    write = [*_DEVICES, *_gpus(), str(settings.cache)]
    return Reach(
        read=tuple(_around(read, secrets)),
        write=(*_around(write, secrets), str(room), str(kept)),
        # Images are searched for in the whole folder, also where `secrets` lies in it.
        listed=(str(settings.images),),
    )


def _python() -> Iterator[str]:
    """Where this interpreter and its packages lie."""
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix)
    yield from (path for path in sys.path if os.path.isabs(path))
    yield str(Path(__file__).resolve().parents[1])  # the worker itself


def _weights(settings: SiteSettings) -> Iterator[str]:
    """Where a checkpoint may lie; as in shared/model/sources.py, without importing PyTorch."""
    import platformdirs

    if settings.weights is not None:
        yield settings.weights
    own = os.environ.get("FEDTHAW_CACHE")
    yield str((Path(own) if own else platformdirs.user_cache_path("fedthaw")) / "weights")
    yield os.path.expanduser("~/.torchxrayvision/models_data")
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    yield os.environ.get("TORCH_HOME") or os.path.join(cache, "torch")


def _gpus() -> Iterator[str]:
    for pattern in _GPUS:
        yield from map(str, Path("/dev").glob(pattern))


def _around(paths: Iterable[str], secrets: Path) -> Iterator[str]:
    """The paths; of one that holds `secrets`, what lies beside these on the way down."""
    hidden = os.path.realpath(secrets)
    for path in dict.fromkeys(os.path.realpath(one) for one in paths):
        yield from _beside(path, hidden)


def _beside(path: str, hidden: str) -> Iterator[str]:
    if path == hidden or path.startswith(hidden + os.sep):
        return
    if not hidden.startswith(path.rstrip(os.sep) + os.sep):
        yield path
        return
    try:
        names = sorted(os.listdir(path))
    except OSError:
        return
    for name in names:
        yield from _beside(os.path.join(path, name), hidden)


def _identity(path: str) -> tuple[str, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return path, 0, 0
    return path, found.st_dev, found.st_ino
