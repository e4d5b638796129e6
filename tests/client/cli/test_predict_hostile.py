"""`fedthaw predict` on headers and names that mean harm, or that are damaged."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from client.imaging.quiet import quiet_libraries

Here = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]
Ramp = Callable[..., NDArray[Any]]
CALIBRATION = {
    "temperature": 2.0,
    "recalibration": {"intercept": -1.5, "slope": 0.5},
    "operating_points": [{"name": "youden", "threshold": 0.4}],
}


@pytest.fixture
def run(tmp_path: Path, write_finished: Callable[..., Path]) -> Path:
    return write_finished(tmp_path / "run", CALIBRATION, image_size=64)


HOSTILE = "=cmd|' /C calc'!A0"


@pytest.mark.parametrize(
    "name", ["-2+3.dcm", "a\x1b[2J\u202egnp.dcm", "two\nlines\t\r.dcm", ":x:[/].dcm"]
)
def test_nothing_of_a_header_or_a_name_acts_in_a_spreadsheet_or_on_a_terminal(
    tmp_path: Path, run: Path, write_dicom: Write, ramp: Ramp, here: Here,
    monkeypatch: pytest.MonkeyPatch, name: str,
) -> None:  # fmt: skip
    with quiet_libraries():
        write_dicom(
            ramp(), name=name, PatientID=HOSTILE,
            BodyPartExamined="\x1b]0;HA", ViewPosition="=1\x1b[m",
        )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    code, out, _ = here("predict", "--csv", "s.csv", "--explain", "e", "--", run, name)
    assert code == 0
    text = (tmp_path / "s.csv").read_text(encoding="utf-8")
    names = "".join(path.name for path in (tmp_path / "e").iterdir())
    for shown in (out.replace("\n", ""), text.replace("\n", ""), names):
        assert shown.isprintable()
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["patient"] == "'=cmd|'' /C calc'!A0"
    assert not any(value[:1] in "=+-@\t\r" for value in row.values() if value)
    _, out, _ = here("predict", "--json", "--", run, name)
    (image,) = json.loads(out)["images"]
    assert (image["patient"], image["file"]) == (HOSTILE, name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"M\xfcll1", b"M\xf6ll1"),  # Latin-1 under a UTF-8 declaration
        (b"M\xef\xbf\xbd1", b"M\xef\xbf\xbd1"),  # letters that an earlier program has lost
        (b"A\\B1C", b"A\\B2C"),  # several values
    ],
)
def test_two_patients_stay_two(
    tmp_path: Path, run: Path, write_dicom: Write, ramp: Ramp, here: Here,
    one: bytes, other: bytes,
) -> None:  # fmt: skip
    for number, raw in enumerate((one, other)):
        name = "Q" * len(raw)
        path = write_dicom(
            ramp(seed=number), name=f"{number}.dcm", PatientID=name,
            SpecificCharacterSet="ISO_IR 192",
        )  # fmt: skip
        content = path.read_bytes()
        assert content.count(name.encode()) == 1
        path.write_bytes(content.replace(name.encode(), raw))
    explained = tmp_path / "e"
    code, out, _ = here(
        "predict", run, tmp_path / "0.dcm", tmp_path / "1.dcm", "--json", "--explain", explained
    )
    found = json.loads(out)
    assert code == 0
    assert [patient["images"] for patient in found["patients"]] == [1, 1]
    assert len({patient["patient"] for patient in found["patients"]}) == 2
    lost = "letters of its Patient ID are lost" in str(found["images"])
    assert lost == (b"\xef\xbf\xbd" in one)
    for number, raw in enumerate((one, other)):
        assert raw in (explained / f"{number + 1:04d}-{number}.dcm").read_bytes()


def test_an_instance_number_that_is_no_number(
    tmp_path: Path, run: Path, write_dicom: Write, ramp: Ramp, here: Here
) -> None:
    path = write_dicom(ramp(), InstanceNumber=11)
    content = path.read_bytes()
    assert content.count(b"IS\x02\x0011") == 1
    path.write_bytes(content.replace(b"IS\x02\x0011", b"IS\x02\x001A"))
    code, out, err = here("predict", run, path, "--explain", tmp_path / "e", "--csv", "-")
    assert (code, len(list(csv.DictReader(io.StringIO(out)))), "Error" in err) == (0, 1, False)
    assert dcmread(tmp_path / "e" / "0001-image.dcm").InstanceNumber is None
