"""Files of a cache: private to this user, complete or absent, worth no wait for the disk."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from shared.storage.files import make_private_folder

PARTIAL = ".partial"
_LEFTOVER_SECONDS = 3600


def write_kept(path: Path, data: bytes) -> None:
    """Put a file in place, with the folders above it (0600 and 0700).

    It is not flushed to the disk: what a crash takes is made again. Raises OSError.
    """
    make_private_folder(path.parent)
    # mkstemp gives the file to this user alone and a name that no other process takes. Those of
    # shared.storage.files come from the process id, which two containers on one cache may share.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=PARTIAL)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remove_partial(paths: Iterable[Path]) -> None:
    """Remove what killed processes left half written among these files.

    A file is written in moments; those younger than an hour may be another process's.
    """
    for path in paths:
        # It may just have been removed by another; what may not be removed is not ours.
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFTOVER_SECONDS:
                path.unlink()
