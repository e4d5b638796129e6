"""An Excel workbook's first sheet, read within a limit of memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import openpyxl

from client.imaging.quiet import quiet_libraries
from shared.archives import ArchiveTooLarge, unpacked
from shared.errors import SiteError

UNPACKED_BYTES = 256 * 2**20
MAXIMUM_CELLS = 5_000_000


def read_sheet(file: Path, data: bytes) -> list[tuple[object, ...]]:
    """The values of the first sheet, row by row.

    Raises SiteError for what is no workbook and for one that is too large to be a table of
    patients, before it takes the memory.
    """
    with quiet_libraries():
        # openpyxl raises nearly anything on a damaged workbook.
        try:
            book = openpyxl.load_workbook(_stored(data), read_only=True, data_only=True)
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # some programs write a wrong extent
            rows = list(_bounded(sheet.iter_rows(values_only=True)))
            book.close()
        except ArchiveTooLarge as error:
            raise SiteError(
                f"{file} holds more than {MAXIMUM_CELLS:,} cells, or unpacks to more than "
                f"{UNPACKED_BYTES >> 20} MiB; keep only the columns and rows that are needed."
            ) from error
        except Exception as error:
            raise SiteError(
                f"{file} is not a readable workbook; save it again as .xlsx or as .csv."
            ) from error
    return rows


def _stored(data: bytes) -> io.BytesIO:
    """The same workbook without compression, so that nothing in it can swell any more."""
    copy = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as source,
        zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as target,
    ):
        for name, content in unpacked(source, UNPACKED_BYTES):
            target.writestr(name, content)
    copy.seek(0)
    return copy


def _bounded(rows: Iterable[tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
    """The rows; a cell that says that it stands in row 10 million has so many empty rows above."""
    left = MAXIMUM_CELLS
    for row in rows:
        left -= len(row) + 1
        if left < 0:
            raise ArchiveTooLarge
        yield row
