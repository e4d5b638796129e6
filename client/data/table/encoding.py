"""The bytes of a table as text, in the encoding that it must be in, or refused."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from pathlib import Path

from shared.errors import SiteError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LINES = re.compile(rb"\r\n|\n|\r")
_REMEDY = "save it again as CSV in UTF-8"
_SAMPLE = 65_536


@dataclass(frozen=True)
class Text:
    """The text; `assumed` names the encoding where another one would fit the bytes too."""

    text: str = field(repr=False)
    assumed: str | None = None


def decode(file: Path, data: bytes) -> Text:
    """UTF-8, UTF-16 with or without its mark, or else Windows-1252, of which Latin-1 is a part.

    Raises SiteError, with the line, for text in two encodings, for bytes that no such text has and
    for NUL, which stands where a file was not written to its end.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    encoding = encoding or _utf_16_without_mark(data)
    if encoding is not None:
        try:
            return _without_nul(file, Text(data.decode(encoding)))
        except UnicodeDecodeError as error:
            if encoding != "utf-8-sig":
                line = data[: error.start].decode(encoding, "ignore").count("\n") + 1
                raise SiteError(
                    f"{file}: line {line} is damaged ({encoding.upper()}); {_REMEDY}."
                ) from error
    try:
        return _without_nul(file, Text(data.decode("utf-8-sig")))
    except UnicodeDecodeError:
        return _without_nul(file, _of_eight_bits(file, data))


def _utf_16_without_mark(data: bytes) -> str | None:
    """UTF-16 by its NUL bytes: in most scripts' text every other byte is one, on one side alone."""
    even, odd = (data[start:_SAMPLE:2].count(0) for start in (0, 1))
    pairs = min(len(data), _SAMPLE) // 2
    if max(even, odd) < 0.3 * max(pairs, 1) or len(data) % 2:
        return None
    if odd > 10 * even:
        return "utf-16-le"
    return "utf-16-be" if even > 10 * odd else None


def _of_eight_bits(file: Path, data: bytes) -> Text:
    utf_8: int | None = None
    other: int | None = None
    for number, line in enumerate(_LINES.split(data), start=1):
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
            utf_8 = utf_8 or number
        except UnicodeDecodeError:
            other = other or number
    if utf_8 is not None:
        raise SiteError(
            f"{file} is in two encodings: line {utf_8} is UTF-8 and line {other} is not; {_REMEDY}."
        )
    try:
        return Text(data.decode("cp1252"), assumed="Windows-1252")
    except UnicodeDecodeError as error:
        line_number = len(_LINES.findall(data[: error.start])) + 1
        raise SiteError(
            f"{file}: line {line_number} is neither UTF-8 nor Windows-1252, but perhaps of an old "
            f"Mac or of another country's code page; {_REMEDY}."
        ) from error


def _without_nul(file: Path, decoded: Text) -> Text:
    text = decoded.text.rstrip("\x1a")  # the end of a file to DOS
    place = text.find("\0")
    if place >= 0:
        line = len(re.findall(r"\r\n|\n|\r", text[:place])) + 1
        raise SiteError(
            f"{file}: line {line} holds NUL characters, as a file has that is damaged or was not "
            f"written to its end; {_REMEDY}."
        )
    return Text(text, decoded.assumed)
