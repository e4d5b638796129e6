"""Workbooks that are no table of patients, and damaged tables."""

from __future__ import annotations

import io
import re
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from client.data.labels import LabelTable, read_labels
from client.data.table import bounded, read
from client.settings import SiteSettings, load_site
from shared.errors import SiteError

Make = Callable[..., SiteSettings]
HEADER = ("patient", "file", "grade")


@pytest.fixture
def site(make_site: Make, tmp_path: Path) -> SiteSettings:
    """A site whose table is labels.xlsx, to be written."""
    (tmp_path / "labels.xlsx").touch()
    make_site("")
    settings = tmp_path / "site.toml"
    settings.write_text(settings.read_text().replace("labels.csv", "labels.xlsx"))
    return load_site(tmp_path)


def book(rows: int = 20) -> bytes:
    made = openpyxl.Workbook()
    sheet = made.active
    sheet.append(HEADER)
    for number in range(rows):
        sheet.append((f"P{number}", f"{number}.png", ("severe", "none")[number % 2]))
    data = io.BytesIO()
    made.save(data)
    return data.getvalue()


def changed(data: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """The workbook with each of its parts changed."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as source,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as written,
    ):
        for name in source.namelist():
            written.writestr(name, change(name, source.read(name)))
    return target.getvalue()


def in_sheet(old: bytes, new: bytes) -> Callable[[str, bytes], bytes]:
    return lambda name, data: re.sub(old, new, data) if "sheet1" in name else data


def test_a_workbook_is_read_whole(site: SiteSettings) -> None:
    site.labels.write_bytes(book())
    table = read_labels(site)
    assert [(row.patient, row.outcome) for row in table.rows] == [
        (f"P{number}", ("severe", "none")[number % 2]) for number in range(20)
    ]


@pytest.mark.parametrize("part", ["theme1", "styles", "workbook.xml", "sheet1"])
def test_a_part_that_swells_is_refused_before_it_takes_memory(
    site: SiteSettings, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(bounded, "UNPACKED_BYTES", 2**25)
    data = changed(book(), lambda name, old: old + b" " * 2**25 if part in name else old)
    assert len(data) < 500_000
    site.labels.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(SiteError, match="unpacks to more than 32 MiB; keep only the columns"):
            read_labels(site)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("row", [2_000_000, 10**12])
def test_a_row_far_below_is_no_row(
    site: SiteSettings, monkeypatch: pytest.MonkeyPatch, row: int
) -> None:
    monkeypatch.setattr(bounded, "MAXIMUM_CELLS", 100_000)
    last = rb'<row r="%d"\1<c r="A%d"' % (row, row)
    site.labels.write_bytes(changed(book(), in_sheet(rb'<row r="21"(.*?)<c r="A21"', last)))
    with pytest.raises(SiteError, match="holds more than 100,000 cells"):
        read_labels(site)


def test_more_cells_than_the_limit(site: SiteSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    site.labels.write_bytes(book())
    monkeypatch.setattr(bounded, "MAXIMUM_CELLS", 21 * 4)
    assert len(read_labels(site).rows) == 20
    monkeypatch.setattr(bounded, "MAXIMUM_CELLS", 21 * 4 - 1)
    with pytest.raises(SiteError, match="holds more than 83 cells"):
        read_labels(site)


def test_a_huge_table_is_not_read(make_site: Make, tmp_path: Path) -> None:
    site = make_site("patient,file,grade\n")
    with site.labels.open("r+b") as file:
        file.truncate(read._MAXIMUM_BYTES + 1)  # a hole: no disk is used
    with pytest.raises(SiteError, match="is larger than 100 MB; keep only the columns and rows"):
        read_labels(site)


def damaged(data: bytes, number: int) -> bytes:
    """The data with a byte changed, cut, or with a block of zeros."""
    rng = np.random.default_rng(number)
    place = int(rng.integers(len(data)))
    match number % 4:
        case 0:
            return data[:place]
        case 1:
            return data[:place] + bytes(min(64, len(data) - place)) + data[place + 64 :]
        case _:
            return (
                data[:place] + bytes([data[place] ^ int(rng.integers(1, 256))]) + data[place + 1 :]
            )


def in_what_is_read(number: int) -> Callable[[str, bytes], bytes]:
    parts = ("sheet1.xml", "workbook.xml")
    return lambda name, data: damaged(data, number) if name.endswith(parts) else data


@pytest.mark.parametrize(
    "count", [pytest.param(60), pytest.param(1500, marks=pytest.mark.slow)], ids=["few", "many"]
)
@pytest.mark.parametrize("kind", ["xlsx", "sheet", "csv", "utf-16"])
def test_a_damaged_table_gives_rows_or_a_sentence(
    site: SiteSettings, count: int, kind: str
) -> None:
    lines = [",".join(HEADER), *(f'P{n},"{n}.png",severe' for n in range(20))]
    whole = {
        "xlsx": book(),
        "sheet": book(),
        "csv": "\n".join(lines).encode(),
        "utf-16": "\n".join(lines).encode("utf-16"),
    }[kind]
    read = 0
    for number in range(count):
        if kind == "sheet":  # inside the ZIP, so that its checksums hold
            data = changed(whole, in_what_is_read(number))
        else:
            data = damaged(whole, number)
        site.labels.write_bytes(data)
        try:
            table = read_labels(site)
        except SiteError:
            continue
        assert isinstance(table, LabelTable)
        read += 1
    assert 0 < read < count
