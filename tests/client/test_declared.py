"""What site.toml declares beside a finding: classes, ordered classes, labels; and what is wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from client.data.labels import LabelRow, read_labels
from client.data.matching import classify
from client.settings import load_site
from shared.errors import SiteError
from shared.outcome.labels import ABSENT, MISSING, PRESENT, LabelsOutcome

HEAD = '[site]\nname = "north"\n[data]\nimages = "images"\npatient = "patient"\nimage = "file"\n'
OF_CLASSES = HEAD + 'labels = "labels.csv"\noutcome = "outcome"\n'
OF_LABELS = HEAD + 'table = "labels.csv"\n'
CLASSES = '[data.classes]\nnone = ["No", 0]\nmild = [1]\nsevere = [2.0, "sev"]\n'
LABELS = (
    '[data.labels]\neffusion = { column = "eff", positive = [1], negative = [0] }\n'
    '[data.labels.oedema]\ncolumn = "oed"\npositive = ["Yes"]\nnegative = ["no"]\n'
)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def make(text: str, *rows: str, header: str = "patient,file,outcome") -> Path:
        (tmp_path / "images").mkdir()
        (tmp_path / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
        (tmp_path / "site.toml").write_text(text)
        return tmp_path

    return make


def test_classes_and_their_values(folder: Callable[..., Path]) -> None:
    settings = load_site(folder(OF_CLASSES + CLASSES, "P1,a.png,no", "P2,b.png,2", "P3,c.png,9"))
    assert str(settings.encoding.outcome) == "classes: none | mild | severe"
    found = classify(settings, read_labels(settings).rows)
    assert found.classes == (0, 2, None)
    assert (found.excluded, found.missing) == ({"9": 1}, 0)


def test_ordered_classes(folder: Callable[..., Path]) -> None:
    settings = load_site(folder(OF_CLASSES + "ordinal = true\n" + CLASSES))
    assert str(settings.encoding.outcome) == "ordinal: none | mild | severe"


def test_labels_of_their_columns(folder: Callable[..., Path]) -> None:
    """P1's rows add to each other; P2's contradict; of P3 nothing is known."""
    rows = ["P1,a.png,1,", "P1,b.png,,YES", "P2,c.png,1,no", "P2,d.png,0,no", "P3,e.png,,maybe"]
    settings = load_site(folder(OF_LABELS + LABELS, *rows, header="patient,file,eff,oed"))
    outcome = settings.encoding.outcome
    assert isinstance(outcome, LabelsOutcome)
    table = read_labels(settings)
    assert table.rows[0] == LabelRow("P1", "a.png", "1", None, more=("1", ""))
    found = classify(settings, table.rows)
    assert found.classes[0] is not None
    assert outcome.digits(found.classes[0]) == (PRESENT, PRESENT)
    assert found.classes[0] == found.classes[1]
    assert found.classes[4] is None
    assert found.contradictory == {"P2"}
    assert found.excluded == {"oedema maybe": 1}
    assert found.missing == 0
    assert outcome.digits(found.classes[3] or 0) == (ABSENT, ABSENT)
    assert MISSING == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OF_CLASSES + 'positive = [1]\nnegative = [0]\n' + CLASSES,
         r"\[data\] has positive and negative and \[data.classes\]; a site has one outcome"),
        (OF_LABELS + CLASSES + LABELS, r"has \[data.classes\] and \[data.labels\]; a site has one"),
        (OF_CLASSES + '[data.classes]\nnone = [0]\n', r"2 to 20 classes; here are 1 \(none\)"),
        (OF_CLASSES + "[data.classes]\n", r"2 to 20 classes; here are 0"),
        (OF_CLASSES + '[data.classes]\na = [0, "x"]\nb = [1, "X"]\n',
         r"'x' stands in both a and b in \[data.classes\]"),
        (OF_CLASSES + '[data.classes]\na = []\nb = [1]\n',
         r"a in \[data.classes\] is \[\]; it must be the values that mean this class, a list of"),
        (OF_CLASSES + '[data.classes]\na = 1\nb = [1]\n',
         r"a in \[data.classes\] is 1; it must be the values"),
        (OF_CLASSES + CLASSES + "ordinal = true\n",
         r"ordinal stands below \[data.classes\], .* move it up to \[data\], above the line"),
        (OF_CLASSES + '[data.classes]\n"a|b" = [0]\nb = [1]\n', r"'a\|b' cannot be one of"),
        (OF_CLASSES + '[data.classes]\nA = [0]\na = [1]\n', r"'A' and 'a' have the same name"),
        (OF_CLASSES + "ordinal = true\npositive = [1]\nnegative = [0]\n",
         r"ordinal in \[data\] is of \[data.classes\], which is not there"),
        (OF_CLASSES + 'ordinal = "yes"\n' + CLASSES, r"ordinal in \[data\] is 'yes'; it must"),
        (HEAD + 'labels = "labels.csv"\n' + CLASSES, r"outcome is missing in \[data\]"),
        (OF_CLASSES, r"positive is missing in \[data\]"),
        (OF_LABELS + 'outcome = "x"\n' + LABELS, r"outcome in \[data\] is not used with"),
        (HEAD + LABELS, r"table is missing in \[data\]"),
        (HEAD + 'outcome = "outcome"\n' + CLASSES, r"labels is missing in \[data\]"),
        (OF_CLASSES + 'table = "labels.csv"\n' + CLASSES, r"labels and table in \[data\] both"),
        (HEAD + 'labels = "labels.csv"\n' + LABELS,
         r"not valid TOML.*With \[data.labels\], \[data\] names the table of outcomes as"),
        (OF_LABELS + '[data.labels]\na = { column = "x", positive = [1] }\n',
         r"a in \[data.labels\] is .* it must be its column and values"),
        (OF_LABELS + '[data.labels]\na = { column = "x", positive = [1], negative = ["1"] }\n',
         r"'1' stands in both positive and negative in a of \[data.labels\]"),
        (OF_LABELS + "[data.labels]\n", r"1 to 32 labels; here are 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(folder: Callable[..., Path], text: str, message: str) -> None:
    with pytest.raises(SiteError, match=message):
        load_site(folder(text))


def test_a_column_that_is_not_there(folder: Callable[..., Path]) -> None:
    settings = load_site(folder(OF_LABELS + LABELS, header="patient,file,eff,edema"))
    with pytest.raises(SiteError, match="has no column 'oed'; its columns are"):
        read_labels(settings)


def test_the_check_says_what_becomes_of_classes_with_few_patients(
    write_site: Callable[..., Path], tmp_path: Path, here: Callable[..., tuple[int, str, str]]
) -> None:
    site = write_site(tmp_path, "north", 8)
    with (site / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["outcome"] = {"P1": "2", "P2": "?"}.get(row["patient"], "0")
    with (site / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    text = (site / "site.toml").read_text()
    declared = text.replace('positive = ["sick"]\nnegative = ["well"]\n', CLASSES)
    assert declared != text
    (site / "site.toml").write_text(declared)
    code, out, _ = here("site", "check", site, "--image-size", "32", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["counts"] == {
        "none_patients": 6, "mild_patients": 0, "severe_patients": 1,
        "none_images": 9, "mild_images": 0, "severe_images": 1,
    }  # fmt: skip
    assert found["warnings"] == [
        "1 row(s) with a value in no class's list: ? (1).",
        "1 class(es) without a patient here, which other sites may have: mild.",
        "1 class(es) with one patient, who is trained on and not validated: severe.",
    ]
