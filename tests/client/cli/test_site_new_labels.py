"""`fedthaw site new --labels` as a person calls it, and `fedthaw site check` of what it writes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from client.settings import load_site
from shared.outcome.encoding import LabelsEncoding

Here = Callable[..., tuple[int, str, str]]
WritePng = Callable[[Path, int], Path]
LABELS = "Pleural Effusion | cardiomegaly=heart | hernia"
# As CheXpert's table: 1, 0, -1 where nobody is certain, nothing where nobody says.
ROWS = [
    ("P0", "1.0", "enlarged", "0"), ("P0", "", "", ""), ("P1", "0.0", "normal", "0"),
    ("P1", "1.0", "normal", "0"), ("P2", "-1.0", "", ""), ("P3", "0.0", "enlarged", "0"),
    ("P4", "0.0", "", "0"), ("P4", "", "normal", ""), ("P5", "1.0", "normal", "-1.0"),
]  # fmt: skip


@pytest.fixture
def north(tmp_path: Path, write_png: WritePng) -> Path:
    site = tmp_path / "north"
    lines = ["patient,path,Pleural_Effusion,heart,hernia,sex"]
    for number, (patient, *cells) in enumerate(ROWS):
        write_png(site / "images" / f"{number}.png", number)
        lines.append(",".join([patient, f"{number}.png", *cells, "MF"[number % 2]]))
    (site / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return site


def counts(out: str) -> dict[str, tuple[int, int]]:
    """Word -> patients and images, in what either command prints."""
    found = re.findall(r"(\w[\w ]*: (?:yes|no)) *│? *(\d+) patients, (\d+) images", out)
    return {word: (int(patients), int(images)) for word, patients, images in found}


def test_what_is_proposed_is_what_the_check_counts(north: Path, here: Here) -> None:
    code, out, err = here("site", "new", north, "--labels", LABELS)
    assert (code, err) == (0, "")
    encoding = load_site(north).encoding
    assert isinstance(encoding, LabelsEncoding)
    assert str(encoding.outcome) == "labels: Pleural Effusion | cardiomegaly | hernia"
    assert [(one.column, one.positive, one.negative) for one in encoding.columns] == [
        ("Pleural_Effusion", ("1",), ("0",)), ("heart", ("enlarged",), ("normal",)),
        ("hernia", ("1",), ("0",)),
    ]  # fmt: skip
    cells = [[c.strip() for c in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    assert ["Pleural Effusion", "Pleural_Effusion", "3 (1.0)", "3 (0.0)", "3"] in cells
    assert ["hernia", "hernia", "0 (1)", "5 (0)", "4"] in cells
    for said in (
        "Values in neither list, which count as missing: '-1' (Pleural Effusion 1, hernia 1)",
        "No row is positive for hernia ('1' does not occur)",
        "2 row(s) say nothing of any label",  # P0's second and P2's
        "1 patient(s) have rows that contradict each other in a label",  # P1
        "'hernia: yes' (0)",
        "Not used: 'sex'.",
    ):
        assert said in out
    expected = {
        "Pleural Effusion: yes": (2, 2), "Pleural Effusion: no": (2, 3),
        "cardiomegaly: yes": (2, 2), "cardiomegaly: no": (2, 3), "hernia: yes": (0, 0),
        "hernia: no": (3, 4),
    }  # fmt: skip
    assert counts(out) == expected
    code, out, err = here("site", "check", north, "--image-size", 32)
    assert (code, err, counts(out)) == (0, "", expected)
    code, text, proposed = here("site", "new", north, "--labels", LABELS, "--print")
    assert (code, counts(proposed)) == (0, expected)
    assert text == (north / "site.toml").read_text(encoding="utf-8")


def test_a_site_that_cannot_train_is_told_so(north: Path, here: Here) -> None:
    lines = (north / "labels.csv").read_text(encoding="utf-8").splitlines()
    few = [line for line in lines if re.match(r"(patient|P0|P1),", line)]
    (north / "labels.csv").write_text("\n".join(few) + "\n", encoding="utf-8")
    code, out, _ = here("site", "new", north, "--labels", "Pleural Effusion")
    assert (code, "this site cannot train" in out) == (0, True)
    code, out, _ = here("site", "check", north, "--image-size", 32)
    assert (code, "too few patients" in out) == (2, True)


def test_what_is_refused_writes_nothing(north: Path, here: Here) -> None:
    for words, said in (
        (["--labels", "mass | hernia"], "has no column 'mass'"),
        (["--labels", "sex | hernia"], "--positive VALUE"),
        (["--labels", "path | hernia"], "the column 'path' of path is that of the images"),
        (["--labels", "hernia=patient", "--patient", "patient"], "is that of the patients"),
        (["--labels", "hernia", "--classes", "a | b"], "--labels and --classes"),
        (["--from-folders", north, "--labels", "hernia"], "a table with a column for each"),
        (["--outcome", "sex"], "--positive VALUE"),
    ):
        code, out, err = here("site", "new", north, *words)
        assert (code, out, said in err) == (2, "", True), err
    assert not (north / "site.toml").exists()
