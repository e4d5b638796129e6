"""`fedthaw predict` where a site or a table says which patient an image is of."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from shared.phantoms.hospitals import HOSPITALS, write_hospitals

Here = Callable[..., tuple[int, str, str]]
Expected = dict[str, tuple[int, Any]]
WriteSite = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path, write_finished: Callable[..., Path]) -> Path:
    return write_finished(tmp_path / "run", image_size=32)


@pytest.fixture
def site(tmp_path: Path, write_site: WriteSite) -> Path:
    """12 patients, 16 PNG images; P0, P3, P6 and P9 have two."""
    return write_site(tmp_path, "north", 12)


def scores(found: dict[str, Any]) -> dict[str, tuple[int, float]]:
    return {one["patient"]: (one["images"], one["probability"]) for one in found["patients"]}


@pytest.fixture
def expected(run: Path, site: Path, probability: Callable[[Path, Path, int], float]) -> Expected:
    """Patient -> images and mean probability, from the table's text alone."""
    own: dict[str, list[float]] = {}
    for line in (site / "labels.csv").read_text(encoding="utf-8").splitlines()[1:]:
        patient, file, _ = line.split(",")
        own.setdefault(patient, []).append(probability(run, site / "images" / file, 32))
    return {p: (len(v), pytest.approx(sum(v) / len(v), abs=1e-5)) for p, v in own.items()}


def predict(here: Here, *words: object) -> dict[str, Any]:
    code, out, err = here("predict", *words, "--json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def test_two_images_of_a_sites_patient_are_one_patient(
    run: Path, site: Path, here: Here, expected: Expected
) -> None:
    found = predict(here, run, site)
    assert scores(found) == expected
    assert {one["site"] for one in (*found["patients"], *found["images"])} == {"north"}
    assert (found["refused"], found["rows_without_image"]) == ([], [])
    code, out, _ = here("predict", run, site, "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (code, len(rows)) == (0, 12)
    assert [(row["site"], row["images"]) for row in rows[:2]] == [("north", "2"), ("north", "1")]


@pytest.mark.parametrize("beside", [True, False], ids=["images beside it", "images elsewhere"])
def test_a_table_says_so_as_well(
    tmp_path: Path, run: Path, site: Path, here: Here, expected: Expected, beside: bool
) -> None:
    table = site / "labels.csv"
    (site / "site.toml").unlink()
    if beside:
        found = predict(here, run, table)
    else:
        table = table.rename(tmp_path / "elsewhere.csv")
        found = predict(here, run, site / "images", table)
    assert scores(found) == expected
    assert {one["site"] for one in found["patients"]} == {None}
    assert found["tables"] == [
        f"{table}: the column 'patient' has the patients, 'file' the images."
    ]


def test_columns_that_no_guess_would_find(
    run: Path, site: Path, here: Here, expected: Expected
) -> None:
    table = site / "labels.csv"
    text = table.read_text(encoding="utf-8").replace("patient,file", "q,w")
    (site / "site.toml").unlink()
    table.write_text(text, encoding="utf-8")
    code, _, err = here("predict", run, table)
    assert code == 2
    assert "--patient" in err
    assert scores(predict(here, run, table, "--patient", "q", "--image", "W")) == expected


def test_patients_need_no_outcome(run: Path, site: Path, here: Here, expected: Expected) -> None:
    table = site / "labels.csv"
    text = table.read_text(encoding="utf-8").replace("sick", "").replace("well", "pending")
    table.write_text(text, encoding="utf-8")
    assert scores(predict(here, run, site)) == expected


def test_images_and_rows_without_a_partner_are_named(run: Path, site: Path, here: Here) -> None:
    images = site / "images"
    (images / "north-0-0.png").rename(images / "stray.png")
    found = predict(here, run, site)
    assert scores(found)["P0"][0] == 1
    assert found["refused"] == [
        {"file": str(images / "stray.png"), "reason": "no row of the table names it"}
    ]
    assert found["rows_without_image"] == [
        "line 2, patient 'P0', image 'north-0-0.png': no file of this name"
    ]
    _, out, _ = here("predict", run, site)
    assert "no image  line 2, patient 'P0', image 'north-0-0.png': no file of this name" in out
    assert "1 of 16 files refused." in out


def test_a_name_that_two_files_have_is_told(run: Path, site: Path, here: Here) -> None:
    for folder in "ab":
        (site / "images" / folder).mkdir()
    (site / "images" / "north-1-0.png").rename(site / "images" / "a" / "north-1-0.png")
    shutil.copy(site / "images" / "north-2-0.png", site / "images" / "b" / "north-1-0.png")
    found = predict(here, run, site)
    assert "P1" not in scores(found)
    assert found["rows_without_image"] == [
        "line 4, patient 'P1', image 'north-1-0.png': several files of this name"
    ]


def test_patients_of_two_sites_with_one_name_stay_apart(
    tmp_path: Path, run: Path, site: Path, write_site: WriteSite, here: Here
) -> None:
    other = write_site(tmp_path, "south", 4, seed=7)
    found = predict(here, run, site, other, site)
    people = [(one["site"], one["patient"]) for one in found["patients"]]
    assert len(people) == len(set(people)) == 16
    assert {("north", "P0"), ("south", "P0")} <= set(people)


def test_a_picture_of_two_rows_patients_is_nobodys(run: Path, site: Path, here: Here) -> None:
    images = site / "images"
    shutil.copy(images / "north-1-0.png", images / "north-2-0.png")
    found = predict(here, run, site)
    assert {"P1", "P2"}.isdisjoint(scores(found))
    assert [one["reason"] for one in found["refused"]] == ["same image for several patients"] * 2


def test_a_site_matched_by_patient_id(tmp_path: Path, run: Path, here: Here) -> None:
    (made,) = write_hospitals(tmp_path / "h", [HOSPITALS[3]], image_side=64)
    settings = made / "site.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace('image = "image"\n', ""), encoding="utf-8")
    files = sorted((made / "images").glob("*.dcm"))
    changed = dcmread(files[0])
    changed.PatientID = "W9999"
    changed.save_as(files[0])
    found = predict(here, run, made)
    patients = {dcmread(path).PatientID for path in files[1:]}
    assert set(scores(found)) == patients
    assert found["refused"] == [{"file": str(files[0]), "reason": "no row of its patient"}]


def test_what_the_site_excludes_and_what_contradicts_its_table(
    tmp_path: Path, run: Path, here: Here
) -> None:
    (made,) = write_hospitals(tmp_path / "h", [HOSPITALS[3]], image_side=64)
    settings = made / "site.toml"
    text = settings.read_text(encoding="utf-8").replace(
        "[data]\n", "[data]\nfrontal-chest-only = true\n"
    )
    settings.write_text(text, encoding="utf-8")
    first, second = sorted((made / "images").glob("*_1.dcm"))[:2]
    for path, changes in (
        (first, {"ViewPosition": "LL"}),
        (second, {"PatientID": dcmread(first).PatientID}),
    ):
        image = dcmread(path)
        for keyword, value in changes.items():
            setattr(image, keyword, value)
        image.save_as(path)
    found = predict(here, run, made)
    assert found["refused"] == [{"file": str(first), "reason": "view LL"}]
    (noted,) = [one for one in found["images"] if one["file"] == str(second)]
    assert noted["patient"] == second.name.partition("_")[0], "the table counts"
    assert noted["notes"] == ["its Patient ID is another patient's of the table; the table counts"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("TABLE", "OTHER"), "Name one table"),
        (("TABLE", "--image", "nothing"), "has no column 'nothing'"),
    ],
)
def test_the_users_mistakes(
    tmp_path: Path, run: Path, site: Path, here: Here, words: tuple[str, ...], said: str
) -> None:
    other = shutil.copy(site / "labels.csv", tmp_path / "other.csv")
    places = {"TABLE": site / "labels.csv", "OTHER": other}
    code, out, err = here("predict", run, *(places.get(word, word) for word in words))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
