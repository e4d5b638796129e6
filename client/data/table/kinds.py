"""What a file is that is no table, whatever its name ends in."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

from shared.errors import SiteError

_MARKS = (
    (b"\xd0\xcf\x11\xe0", "an old Excel file, or one that asks for a password"),
    (b"\x09\x08", "an old Excel file"),
    (b"%PDF", "a PDF"),
    (b"MIME-Version:", "a web page (MHTML)"),
    (b"ID;P", "a SYLK file"),
    (b"{\\rtf", "a text document (RTF)"),
    (b"\x1f\x8b", "compressed (gzip)"),
    (b"BZh", "compressed (bzip2)"),
    (b"\xfd7zXZ", "compressed (xz)"),
    (b"7z\xbc\xaf", "compressed (7-Zip)"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"$FL2", "an SPSS file"),
    (b"<stata_dta>", "a Stata file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
)
_TAG = re.compile(rb"\s*<\s*(!--|[!?/a-z])", re.IGNORECASE)
_HTML = re.compile(
    rb"<\s*(!doctype\s+html|html|head|body|meta|table|style|tr|div)\b", re.IGNORECASE
)
_JSON = re.compile(rb"\s*[\[{]\s*[\[{\"]")
_HEAD = 4096


def is_archive(data: bytes) -> bool:
    """Whether it is a ZIP archive, which a workbook is."""
    return data.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def refuse_other_kinds(file: Path, data: bytes) -> None:
    """SiteError, with its true name, for a file that is neither a workbook nor text with cells."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            raise _refusal(file, name)
    # What a browser or Excel opens as a table: text in one or two bytes a letter.
    head = data[:_HEAD].replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf").lstrip(b"\xff\xfe")
    if _TAG.match(head):
        raise _refusal(file, "HTML" if _HTML.search(head) else "XML")
    if _JSON.match(head):
        raise _refusal(file, "JSON")


def check_workbook(file: Path, data: bytes) -> None:
    """SiteError for an archive that is no .xlsx; `data` is not compressed."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            mimetype = archive.read("mimetype") if "mimetype" in names else b""
    except Exception as error:  # damaged archives raise nearly anything
        raise SiteError(
            f"{file} is not a readable workbook; save it again as .xlsx or as .csv."
        ) from error
    if any(name.endswith("workbook.bin") for name in names):
        raise _refusal(file, "a binary Excel file (.xlsb)")
    if mimetype.startswith(b"application/vnd.oasis"):
        raise _refusal(file, "an OpenDocument file (.ods)")
    if any(name.endswith(".iwa") for name in names):
        raise _refusal(file, "a file of Apple Numbers")
    if not any(name.endswith("workbook.xml") for name in names):
        raise _refusal(file, "a ZIP archive")


def _refusal(file: Path, name: str) -> SiteError:
    return SiteError(
        f"{file} is {name}; open it in a program that reads this and save the table as .xlsx or "
        ".csv."
    )
