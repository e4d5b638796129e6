"""Rows of several classes or labels that are listed by name, and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from client.data.admission import admit
from client.data.report import AdmissionReport
from client.settings import load_site

Fill = Callable[..., None]


def listed(report: AdmissionReport) -> list[tuple[str, str, bool, str]]:
    return [(item.kind, item.name, item.out, item.why) for item in report.listed]


SEVERAL = """[site]
name = "north"
[data]
images = "images"
table = "labels.csv"
patient = "patient"
image = "file"
{}"""
OF_CLASSES = 'outcome = "grade"\n[data.classes]\nno = ["no"]\nmild = ["mild"]\nbad = ["bad"]\n'
OF_LABELS = "".join(
    f'[data.labels.{name}]\ncolumn = "{name}"\npositive = [1]\nnegative = [0]\n'
    for name in ("oedema", "fracture")
)


def of_several(folder: Path, outcome: str, table: str) -> AdmissionReport:
    (folder / "labels.csv").write_text(table, encoding="utf-8")
    site = SEVERAL.format(outcome)
    if outcome is OF_CLASSES:
        site = site.replace("table =", "labels =")
    (folder / "site.toml").write_text(site, encoding="utf-8")
    return admit(load_site(folder), 16, "pad").report


def test_a_value_of_no_class_is_not_said_to_be_in_neither_of_two_lists(
    fill: Fill, tmp_path: Path
) -> None:
    fill("1.png", "2.png", "3.png")
    rows = "patient,file,grade\nP1,1.png,no\nP2,2.png,bad\nP3,3.png,odd\n"
    assert listed(of_several(tmp_path, OF_CLASSES, rows)) == [
        ("image", "3.png", True, "outcome 'odd' in no class's list"),
        ("row", "line 4, patient 'P3', image '3.png'", True, "outcome 'odd' in no class's list"),
    ]


def test_a_value_that_leaves_a_label_missing_is_named_with_its_row(
    fill: Fill, tmp_path: Path
) -> None:
    fill("1.png", "2.png", "3.png")
    rows = "patient,file,oedema,fracture\nP1,1.png,0,1\nP2,2.png,1,maybe\nP3,3.png,0,\n"
    assert listed(of_several(tmp_path, OF_LABELS, rows)) == [
        ("row", "line 3, patient 'P2', image '2.png'", False,
         "'fracture maybe' in neither list: missing, unless another row of the patient says it"),
    ]  # fmt: skip
