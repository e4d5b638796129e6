"""Text from outside, as it may go to a terminal, a log, a page, a table or a file's name.

Names of files, tables, DICOM headers, settings and other machines may hold anything. Terminals
take control characters for commands, a line break begins a line of its own, a bidirectional
override shows a name backwards, and a spreadsheet runs a cell that begins with `=`.
"""

from __future__ import annotations

import re
import unicodedata

_NAME_BREAKERS = re.compile(r'[\\/:*?"<>|]')
# What follows a separator begins a cell of its own where the reader splits lines there.
_PIECES = re.compile(r"([,;|])")
_FORMULA = re.compile(r"[\s\"']*[=+\-@\uff0b\uff0d\uff1d\uff20]")


def shown(text: object) -> str:
    r"""The text with an escape such as `\x1b` or `\u202e` for what cannot be printed.

    A byte of a file's name that is no UTF-8 (`surrogateescape`) is shown as the byte, `\xff`.
    """
    return "".join(c if _is_harmless(c) else _escaped(ord(c)) for c in str(text))


def shown_lines(text: object) -> str:
    """`shown` for text that may have several lines."""
    return "\n".join(map(shown, str(text).split("\n")))


def _is_harmless(character: str) -> bool:
    # Blanks of other widths are not printable to Python, and do no harm.
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def one_line(text: str, limit: int) -> str:
    """The text with a blank for each character that cannot be printed, cut to `limit` characters.

    For what another machine says, where its length must have a bound.
    """
    return "".join(c if c.isprintable() else " " for c in text[:limit])


def name_part(text: str, limit: int) -> str:
    """The text as a part of a file's name on any system, cut to `limit` characters."""
    kept = "".join(c if c.isprintable() else "_" for c in text[:limit])
    return _NAME_BREAKERS.sub("_", kept)


def spreadsheet_cell(text: object) -> str:
    """The text as a cell of a CSV that no spreadsheet takes for a formula (OWASP, CSV injection).

    Unprintable characters are escaped as by `shown`. An apostrophe stands before `=`, `+`, `-`, `@`
    (also of full width) and before an apostrophe, at the beginning and after each comma, semicolon
    or bar; blanks and quotes before the sign do not hide it. One apostrophe taken
    from the beginning of each piece gives the text back.
    """
    pieces = _PIECES.split(shown(text))
    return "".join(
        f"'{piece}" if piece.startswith("'") or _FORMULA.match(piece) else piece for piece in pieces
    )
