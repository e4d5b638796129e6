"""Fingerprints of files."""

from __future__ import annotations

import hashlib
from pathlib import Path


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 lower-case hexadecimal digits; OSError where unreadable."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
