"""What every kind of table is read into."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

HEADER_ROWS = 20
"""Rows in which the names of the columns are looked for: titles may stand above them."""


# Byte order marks, and what programs put around copied text: Windows' own dialogs begin a path
# with U+202A. Within a word joiners are letters of some languages, and stay.
_INVISIBLE = (
    "\ufeff\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u2060\u2066\u2067\u2068\u2069"
)


def clean(text: str) -> str:
    """A cell's text as it is compared: without blanks around it, its accents composed (NFC)."""
    text = text.strip()
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", text.strip(_INVISIBLE + string.whitespace + "\u00a0"))


@dataclass(frozen=True)
class Line:
    """A row: its number in the file, from 1, and its cells, each `clean`."""

    number: int
    cells: tuple[str, ...] = field(repr=False)
    flaw: str | None = None
    """Why no cell of it can be believed."""
    flaws: Mapping[int, str] = field(default_factory=dict)
    """Position of a cell -> why it cannot be believed."""

    def cell(self, position: int) -> str:
        """The cell there, empty beyond the end."""
        return self.cells[position] if position < len(self.cells) else ""

    @property
    def is_blank(self) -> bool:
        """Whether nothing stands in it."""
        return not any(self.cells) and not self.flaws


@dataclass(frozen=True)
class Sheet:
    """The lines of a table from the row of column names on, and what its owner should know."""

    lines: Sequence[Line] = field(repr=False)
    notes: tuple[str, ...] = ()
    assumed_encoding: str | None = None
    """Where nothing in the file says how its letters beyond ASCII are written."""


def header_in(lines: Sequence[Line], wanted: Sequence[str]) -> int | None:
    """The place of the one line with all the wanted names, None where there is none or several.

    The first line wins: a later one with the same names is the header repeated.
    """
    places = [
        place
        for place, line in enumerate(lines[:HEADER_ROWS])
        if all(name in line.cells for name in wanted)
    ]
    if places and (places[0] == 0 or len(places) == 1):
        return places[0]
    return None


def nearest_header(lines: Sequence[Line], wanted: Sequence[str]) -> Line:
    """Of the first lines, the one with most of the wanted names; an empty line for no lines."""
    found = lines[:HEADER_ROWS] or [Line(1, ())]
    return max(found, key=lambda line: sum(name in line.cells for name in wanted))
