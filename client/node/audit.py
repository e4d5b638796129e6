"""What a site sends, written down at the site before it leaves.

One JSON object a line: when, to whom, for which run, how many bytes, the names and shapes of all
tensors, and every number and text that is not a tensor. Its owner reads it with `fedthaw site log`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def record(path: Path, entry: Mapping[str, Any]) -> None:
    """Append an entry with the time, readable by this user alone; on disk when this returns."""
    line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), **entry})
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "rb+", buffering=0) as file:
        # After a torn line the new one would be part of it.
        torn = file.seek(0, os.SEEK_END) and os.pread(handle, 1, file.tell() - 1) != b"\n"
        data = f"{chr(10) if torn else ''}{line}\n".encode()
        while data:  # a disk that is almost full takes a part at first
            data = data[file.write(data) :]
        os.fsync(handle)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """All entries, the oldest first; a torn last line, left by a crash, is passed over."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                continue
