"""Files of a cache: private to this user, complete or absent, worth no wait for the disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PARTIAL = ".partial"


def write_kept(path: Path, data: bytes) -> None:
    """Put a file in place, with the folders above it (0600 and 0700).

    It is not flushed to the disk: what a crash takes is made anew. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # mkstemp gives the file to this user alone and a name that no other process takes. Those of
    # shared.files come from the process id, which two containers on one cache may have in common.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=PARTIAL)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
