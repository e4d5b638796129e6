"""Rows of a workbook that a filter, a group or a person has hidden."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import IO
from xml.parsers import expat

from client.data.table.line import Line
from shared.errors import SiteError


def refuse_hidden(file: Path, title: str, rows: Sequence[Line], hidden: Collection[int]) -> None:
    """SiteError where rows below the header are hidden.

    Whoever filtered the table may have meant to leave these patients out, or only have looked at
    the others: neither may be guessed.
    """
    found = [row.number for row in rows if row.number in hidden]
    if found:
        raise SiteError(
            f"{file}: rows of the sheet {title!r} are hidden by a filter or by hand ({len(found)} "
            f"in all, the first is row {found[0]}). If they belong to the table, show them and "
            "save it; if not, save a table of the other rows alone."
        )


def hidden_rows(source: IO[bytes]) -> set[int]:
    """The numbers of the rows that a worksheet's XML calls hidden: ISO/IEC 29500-1, 18.3.1.73.

    openpyxl does not say it of a workbook that it reads row by row.
    """
    hidden: set[int] = set()
    number = 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal number
        if name.rpartition(" ")[2] == "row":
            # A row without its number follows the one before it.
            number = int(attributes.get("r", number + 1))
            if attributes.get("hidden") in ("1", "true"):
                hidden.add(number)

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = begin
    parser.ParseFile(source)
    return hidden
