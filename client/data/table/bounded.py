"""A workbook within a limit of memory, whatever its archive says of itself."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from typing import TypeVar

from shared.storage.archives import ArchiveTooLarge, unpacked

UNPACKED_BYTES = 256 * 2**20
MAXIMUM_CELLS = 5_000_000

_Row = TypeVar("_Row", bound=tuple[object, ...])


def without_compression(data: bytes) -> bytes:
    """The same archive, stored: nothing in it can swell any more.

    Raises ArchiveTooLarge where it unpacks to more than `UNPACKED_BYTES`, and
    zipfile.BadZipFile for a damaged archive.
    """
    copy = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as source,
        zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as target,
    ):
        for name, content in unpacked(source, UNPACKED_BYTES):
            target.writestr(name, content)
    return copy.getvalue()


def bounded_rows(rows: Iterable[_Row]) -> Iterator[_Row]:
    """The rows; a cell that says that it stands in row 10 million has so many empty rows above.

    Raises ArchiveTooLarge after `MAXIMUM_CELLS` cells.
    """
    left = MAXIMUM_CELLS
    for row in rows:
        left -= len(row) + 1
        if left < 0:
            raise ArchiveTooLarge
        yield row
