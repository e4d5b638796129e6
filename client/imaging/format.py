"""Which kind of image file it is, by what it contains."""

from __future__ import annotations

from pathlib import Path

DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".dic", ".ima"})


def image_format(path: Path) -> str | None:
    """`"DICOM"`, `"PNG"`, `"JPEG"`, or None, by the file's first bytes.

    A file with a DICOM suffix but without the preamble of PS3.10 7.1 counts as DICOM unless it
    is one of the others. Raises OSError for a file that cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(132)
    if head[128:132] == b"DICM":
        return "DICOM"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    return "DICOM" if head and path.suffix.lower() in DICOM_SUFFIXES else None
