"""ZIP archives of unknown origin, unpacked within a limit."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAXIMUM_FILES = 10_000


class ArchiveTooLarge(Exception):
    """An archive unpacks to more than is allowed."""


def unpacked(archive: zipfile.ZipFile, most: int) -> Iterator[tuple[str, bytes]]:
    """Each file's name and content; at most `most` bytes together, and as much memory.

    `ZipFile.read` unpacks a whole stream before it compares its length with the directory's.
    Raises ArchiveTooLarge, and zipfile.BadZipFile for a damaged archive and for compression other
    than deflate, which has no such limit.
    """
    members = [one for one in archive.infolist() if not one.is_dir()]
    if len(members) > _MAXIMUM_FILES or sum(one.file_size for one in members) > most:
        raise ArchiveTooLarge
    for one in members:
        if one.compress_type not in _METHODS or one.flag_bits & 1:
            raise zipfile.BadZipFile("compressed by another method than deflate, or encrypted")
        with archive.open(one) as file:
            content = file.read(one.file_size)
        if len(content) != one.file_size:
            raise zipfile.BadZipFile("a file is shorter than announced")
        yield one.filename, content
