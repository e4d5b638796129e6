"""Damaged tables: a table or a sentence for people, whatever byte is wrong."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator

import openpyxl
import pytest

from client.data.labels import LabelTable
from shared.errors import SiteError

Read = Callable[..., LabelTable]
TABLE = "patient,file,grade,note\n" + "".join(
    f'Mü{n},a/{n}.png,{"severe" if n % 2 else "none"},"two, ""words""\n{n}"\n' for n in range(12)
)


def workbook() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    for line in ["patient", "file", "grade"], *([f"P{n}", f"{n}.png", n % 2] for n in range(12)):
        sheet.append(line)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def damaged(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """One byte changed, a block zeroed, the end cut off, a block twice."""
    draw = random.Random(seed)
    for _ in range(count):
        place, length = draw.randrange(len(data)), draw.choice([1, 16, 512])
        changed = bytearray(data)
        match draw.randrange(4):
            case 0:
                changed[place] ^= draw.randrange(1, 256)
            case 1:
                changed[place : place + length] = bytes(len(changed[place : place + length]))
            case 2:
                del changed[place:]
            case _:
                changed[place:place] = changed[place : place + length]
        yield bytes(changed)


def outcome_of(read: Read, data: bytes, name: str) -> LabelTable | None:
    """The table, or None where it was refused in a sentence."""
    try:
        return read(data, name)
    except SiteError as error:
        sentence = str(error)
    assert sentence.isprintable()
    assert sentence.endswith(".")
    return None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_damaged_csv(read: Read, encoding: str) -> None:
    tables = [
        outcome_of(read, data, "labels.csv") for data in damaged(TABLE.encode(encoding), 400, 1)
    ]
    assert any(table is None for table in tables)
    for table in filter(None, tables):
        # No line is read twice, and none is taken for another's.
        lines = [row.line for row in table.rows] + [row.line for row in table.bad_rows]
        assert len(lines) == len(set(lines))
        assert all(row.patient for row in table.rows)


@pytest.mark.parametrize(
    "count", [60, pytest.param(3000, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_damaged_workbooks(read: Read, count: int) -> None:
    tables = [outcome_of(read, data, "labels.xlsx") for data in damaged(workbook(), count, count)]
    assert any(table is None for table in tables)
    # Checksums of the archive: what is read at all was not damaged.
    whole = {(f"P{n}", f"{n}.png", str(n % 2)) for n in range(12)}
    for table in filter(None, tables):
        assert {(row.patient, row.image, row.outcome) for row in table.rows} == whole
