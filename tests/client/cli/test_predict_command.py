"""`fedthaw predict` on phantoms and on files that are none."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file

from client.data.admission import admit
from client.predict.distance import UNLIKE
from client.settings import load_site
from shared.phantoms.hospitals import HOSPITALS, write_hospitals
from shared.run.finished import LOCAL_STATISTICS, NOTICE

Here = Callable[..., tuple[int, str, str]]
Probability = Callable[[Path, Path, int], float]
CALIBRATION: dict[str, Any] = {
    "temperature": 2.0,
    "recalibration": {"intercept": -1.5, "slope": 0.5},
    "operating_points": [
        {"name": "youden", "threshold": 0.4}, {"name": "sensitive", "threshold": 0.05},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantoms of `east`: MONOCHROME1, 10 bits."""
    (made,) = write_hospitals(tmp_path_factory.mktemp("hospitals"), [HOSPITALS[1]], image_side=64)
    return made


@pytest.fixture
def run(tmp_path: Path, write_finished: Callable[..., Path]) -> Path:
    return write_finished(tmp_path / "run", CALIBRATION, image_size=64)


def test_patients_have_the_mean_of_their_images(
    run: Path, hospital: Path, here: Here, probability: Probability
) -> None:
    code, out, err = here("predict", run, hospital / "images", "--json")
    found = json.loads(out)
    assert (code, err, found["notice"], found["refused"]) == (0, "", NOTICE, [])
    assert found["operating_point"] == {"name": "youden", "threshold": 0.4}
    files = sorted((hospital / "images").glob("*.dcm"))
    assert [item["file"] for item in found["images"]] == [str(path) for path in files]
    by_patient: dict[str, list[float]] = {}
    for item, path in zip(found["images"], files, strict=True):
        assert item["probability"] == pytest.approx(probability(run, path, 64), abs=1e-5)
        assert item["patient"] == dcmread(path).PatientID == path.name.partition("_")[0]
        by_patient.setdefault(item["patient"], []).append(item["probability"])
    assert max(map(len, by_patient.values())) > 1
    assert len(found["patients"]) == len(by_patient)
    for patient in found["patients"]:
        mean = float(np.mean(by_patient[patient["patient"]]))
        assert patient["probability"] == pytest.approx(mean)
        assert patient["positive"] == (mean >= 0.4)
        assert patient["calibrated"] == pytest.approx(
            1 / (1 + np.exp(1.5 - np.log(mean / (1 - mean)) / 2))
        )
    assert (found["temperature"], found["caution"]) == (2.0, None)
    assert found["recalibration"] == CALIBRATION["recalibration"]


def test_csv_and_json_say_the_same(tmp_path: Path, run: Path, hospital: Path, here: Here) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    words = ("predict", run, hospital / "images", tmp_path / "bad.png")
    found = json.loads(here(*words, "--json", "--images-csv", tmp_path / "scores.csv")[1])
    code, out, err = here(*words, "--images-csv", "-")
    bad = f"refused   {tmp_path}/bad.png: not a DICOM, PNG or JPEG file\n"
    assert (code, err) == (0, f"{bad}1 of {len(found['images']) + 1} files refused.\n{NOTICE}\n")
    assert out == (tmp_path / "scores.csv").read_text(encoding="utf-8")
    *rows, refused = csv.DictReader(io.StringIO(out))
    assert [row["file"] for row in rows] == [item["file"] for item in found["images"]]
    patients = {item["patient"]: item for item in found["patients"]}
    for row, item in zip(rows, found["images"], strict=True):
        assert float(row["probability"]) == item["probability"]
        assert float(row["distance"]) == item["distance"]
        assert row["unlike_training"] == ("yes" if item["distance"] > UNLIKE else "no")
        patient = patients[row["patient"]]
        assert float(row["patient_probability"]) == patient["probability"]
        assert float(row["patient_calibrated"]) == patient["calibrated"]
        assert row["patient_positive"] == ("yes" if patient["positive"] else "no")
    assert refused["file"] == str(tmp_path / "bad.png")
    assert refused["refused"] == "not a DICOM, PNG or JPEG file" == found["refused"][0]["reason"]


def test_the_csv_of_patients(tmp_path: Path, run: Path, hospital: Path, here: Here) -> None:
    words = ("predict", run, hospital / "images")
    found = json.loads(here(*words, "--json", "--csv", tmp_path / "scores.csv")[1])
    code, out, _ = here(*words, "--csv", "-")
    assert code == 0
    assert out == (tmp_path / "scores.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["patient"] for row in rows] == [item["patient"] for item in found["patients"]]
    for row, item in zip(rows, found["patients"], strict=True):
        own = [image for image in found["images"] if image["patient"] == row["patient"]]
        assert row["files"] == "; ".join(image["file"] for image in own)
        assert int(row["images"]) == len(own)
        assert float(row["probability"]) == item["probability"]
        assert float(row["calibrated"]) == item["calibrated"]
        assert (row["threshold"], row["positive"]) == ("0.4", "yes" if item["positive"] else "no")
        far = sum(image["unlike_training"] for image in own)
        assert int(row["images_unlike_training"]) == far


def test_an_image_larger_than_the_limit_is_refused(
    tmp_path: Path, run: Path, hospital: Path, here: Here
) -> None:
    large = tmp_path / "large.png"
    Image.fromarray(np.arange(40_000, dtype=np.uint16).reshape(200, 200)).save(large)
    words = ("predict", run, hospital / "images", large, "--json", "--max-megapixels")
    found = json.loads(here(*words, "0.039")[1])
    assert found["refused"] == [{"file": str(large), "reason": "larger than 0.039 megapixels"}]
    assert json.loads(here(*words, "0.04")[1])["refused"] == []


def test_another_operating_point(run: Path, hospital: Path, here: Here) -> None:
    code, out, _ = here("predict", run, hospital / "images", "--operating-point", "sensitive")
    assert code == 0
    assert "Threshold 0.050 (operating point: sensitive)." in out
    code, _, err = here("predict", run, hospital, "--operating-point", "exact")
    assert (code, err.count("\n")) == (2, 1)
    assert "it has: youden, sensitive" in err


def test_a_run_without_calibration_says_so(run: Path, hospital: Path, here: Here) -> None:
    (run / "calibration.json").unlink()
    code, out, _ = here("predict", run, hospital / "images" / "E0001_1.dcm")
    assert code == 0
    assert "Threshold 0.500 (operating point: none chosen by the run)." in out
    assert "Not calibrated: the run has no intercept and slope" in out
    assert out.rstrip().endswith(NOTICE)


def test_a_temperature_alone_makes_no_probability(
    tmp_path: Path, write_finished: Callable[..., Path], hospital: Path, here: Here
) -> None:
    """As runs before `recalibration` have it: balanced sampling is still in the scores."""
    older = {key: value for key, value in CALIBRATION.items() if key != "recalibration"}
    run = write_finished(tmp_path / "older", older, image_size=64)
    found = json.loads(here("predict", run, hospital / "images" / "E0001_1.dcm", "--json")[1])
    assert (found["temperature"], found["recalibration"]) == (2.0, None)
    assert [patient["calibrated"] for patient in found["patients"]] == [None]


def test_thresholds_of_other_models_are_not_applied(
    tmp_path: Path, write_finished: Callable[..., Path], hospital: Path, here: Here
) -> None:
    run = write_finished(tmp_path / "local", CALIBRATION, image_size=64, batch_norm="local")
    image = hospital / "images" / "E0001_1.dcm"
    found = json.loads(here("predict", run, image, "--json")[1])
    assert found["caution"] == LOCAL_STATISTICS
    assert found["operating_point"]["threshold"] == 0.5
    (patient,) = found["patients"]
    assert (patient["calibrated"], patient["positive"]) == (None, patient["probability"] >= 0.5)
    for words in ((), ("--csv", "-")):
        code, out, err = here("predict", run, image, *words)
        assert code == 0
        assert LOCAL_STATISTICS in out + err
    code, out, err = here("predict", run, image, "--operating-point", "youden")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "operating point 'youden' is not this model's" in err


def test_what_is_written_is_the_users_alone(
    tmp_path: Path, run: Path, hospital: Path, here: Here
) -> None:
    """It names patients, and shows them."""
    explained = tmp_path / "explained"
    explained.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        code, _, _ = here(
            "predict", run, hospital / "images" / "E0001_1.dcm", "--csv", tmp_path / "scores.csv",
            "--explain", explained,
        )  # fmt: skip
    finally:
        os.umask(before)
    assert code == 0
    written = [tmp_path / "scores.csv", *explained.iterdir()]
    assert len(written) == 3
    assert [path.stat().st_mode & 0o077 for path in written] == [0, 0, 0]


def test_what_admission_sets_aside_is_refused_in_its_words(
    tmp_path: Path, run: Path, hospital: Path, here: Here, write_site: Callable[..., Path]
) -> None:
    site = write_site(tmp_path, "north", 4)
    folder = site / "images"
    (folder / "truncated.dcm").write_bytes((hospital / "images/E0001_1.dcm").read_bytes()[:3000])
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("no picture")
    Image.new("L", (64, 64), 7).save(folder / "constant.png")
    Image.effect_noise((64, 64), 50).convert("RGB").quantize(4, 0).save(folder / "grey.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(
        folder / "colour.png"
    )
    for name in ("examples_palette.dcm", "SC_rgb_rle.dcm", "MR_truncated.dcm", "badVR.dcm"):
        (folder / name).write_bytes(Path(str(get_testdata_file(name))).read_bytes())
    code, out, err = here("predict", run, folder, "--json")
    found = {Path(r["file"]).name: r["reason"] for r in json.loads(out)["refused"]}
    assert (code, err) == (0, "")
    assert found == dict(admit(load_site(site), 64, "pad").report.rejected)
    assert len(found) >= 9
    shown = here("predict", run, folder)[1]
    total = len(list(folder.iterdir()))
    assert f"{len(found)} of {total} files refused." in shown
    assert f"refused   {folder}/empty.png: {found['empty.png']}" in shown


def test_a_picture_of_two_patients_is_refused(
    tmp_path: Path, run: Path, hospital: Path, here: Here
) -> None:
    source = hospital / "images" / "E0001_1.dcm"
    for name, patient in (("a.dcm", "A"), ("b.dcm", "B"), ("c.dcm", "E0001")):
        other = dcmread(source)
        other.PatientID = patient
        (tmp_path / "new").mkdir(exist_ok=True)
        other.save_as(tmp_path / "new" / name)
    explained = tmp_path / "explained"
    code, out, _ = here(
        "predict", run, tmp_path / "new", hospital / "images/E0002_1.dcm", "--json",
        "--explain", explained,
    )  # fmt: skip
    found = json.loads(out)
    assert code == 0
    assert [item["patient"] for item in found["images"]] == ["E0002"]
    assert {item["reason"] for item in found["refused"]} == {"same image for several patients"}
    assert sorted(path.name for path in explained.iterdir()) == [
        "0004-E0002_1.dcm", "0004-E0002_1.png",
    ]  # fmt: skip


def test_a_copy_counts_once_and_is_told(
    tmp_path: Path, run: Path, hospital: Path, here: Here
) -> None:
    first, second = (hospital / "images" / f"E000{n}_1.dcm" for n in (1, 2))
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(first.read_bytes())
    found = json.loads(here("predict", run, first, copy, second, first, "--json")[1])
    assert [item["file"] for item in found["images"]] == [str(first), str(copy), str(second)]
    assert "copy of another file" in found["images"][1]["notes"][0]
    assert [patient["images"] for patient in found["patients"]] == [1, 1]


def test_rasters_are_patients_of_their_own(
    tmp_path: Path, run: Path, write_site: Callable[..., Path], here: Here
) -> None:
    folder = write_site(tmp_path, "north", 4) / "images"
    found = json.loads(here("predict", run, folder, "--json")[1])
    assert len(found["patients"]) == len(found["images"]) == len(list(folder.iterdir()))
    assert {p["patient"] for p in found["patients"]} == {str(path) for path in folder.iterdir()}


def test_foreign_images_are_flagged(tmp_path: Path, run: Path, here: Here) -> None:
    """The network of these tests has seen nothing but noise around zero."""
    bright = np.full((64, 64), 255, np.uint8)
    bright[0, 0] = 0
    Image.fromarray(bright).save(tmp_path / "bright.png")
    code, out, _ = here("predict", run, tmp_path / "bright.png")
    assert code == 0
    assert "1 image(s) unlike the training images" in out


def test_a_network_that_describes_no_images_gives_no_distance(
    tmp_path: Path, write_finished: Callable[..., Path], hospital: Path, here: Here
) -> None:
    run = write_finished(tmp_path / "r", weights="random", schedule="probe")
    code, out, _ = here("predict", run, hospital / "images" / "E0001_1.dcm")
    assert code == 0
    assert "No distance" in out


def test_explanations_are_written_for_every_image(
    tmp_path: Path, run: Path, hospital: Path, here: Here
) -> None:
    images = sorted((hospital / "images").glob("*.dcm"))[:10]
    code, out, _ = here("predict", run, *images, "--explain", tmp_path / "e", "--json")
    names = [item["explanation"] for item in json.loads(out)["images"]]
    assert code == 0
    assert names == [f"{n:04d}-{path.stem}" for n, path in enumerate(images, start=1)]
    assert {path.name for path in (tmp_path / "e").iterdir()} == {
        f"{name}.{suffix}" for name in names for suffix in ("png", "dcm")
    }
    assert (tmp_path / "e").stat().st_mode & 0o077 == 0
    for name, source in zip(names, images, strict=True):
        capture = dcmread(tmp_path / "e" / f"{name}.dcm")
        with Image.open(tmp_path / "e" / f"{name}.png") as picture:
            np.testing.assert_array_equal(capture.pixel_array, np.asarray(picture))
        assert capture.PatientID == dcmread(source).PatientID


def test_names_that_are_no_text_and_long_ones(
    tmp_path: Path, run: Path, hospital: Path, here: Here
) -> None:
    """As file servers of another encoding leave them."""
    content = (hospital / "images" / "E0001_1.dcm").read_bytes()
    folder = tmp_path / "new"
    folder.mkdir()
    for name in (b"M\xfcller.dcm", b"bad\xff.png", b"x" * 251 + b".dcm"):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(
            b"" if b"bad" in name else content
        )
    explained = tmp_path / "e"
    file = ("--images-csv", tmp_path / "s.csv")
    for words in ((), ("--json",), ("--csv", "-"), ("--images-csv", "-"), file):
        code, out, _ = here("predict", run, folder, "--explain", explained, *words)
        assert code == 0
        out.encode("utf-8")
    assert "bad\\xff.png" in (tmp_path / "s.csv").read_text(encoding="utf-8")
    assert {path.name[:8] for path in explained.iterdir()} == {"0001-M_l", "0002-xxx"}


def test_nothing_scored_exits_with_2(tmp_path: Path, run: Path, here: Here) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    code, out, err = here("predict", run, tmp_path / "bad.png")
    assert (code, err) == (2, "")
    assert re.fullmatch(r"refused   .*/bad\.png: .*\n1 of 1 files refused\.\n", out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("RUN", "missing.png"), "There is no file or folder"),
        (("RUN", "EMPTY"), "There is no DICOM, PNG or JPEG image in"),
        (("EMPTY", "EMPTY"), "is not a run's folder"),
        (("RUN", "EMPTY", "--json", "--csv", "-"), "Both --csv - and --json"),
        (("RUN", "EMPTY", "--csv", "-", "--images-csv", "-"), "Both --images-csv - and another"),
        (("RUN", "EMPTY", "--csv", "EMPTY"), "--csv is the folder"),
        (("RUN", "EMPTY", "--images-csv", "nowhere/i.csv"), "There is no folder nowhere for --ima"),
        (("RUN", "EMPTY", "--patient", "x"), "columns of a table, and no table is named"),
    ],
)
def test_the_users_mistakes(
    tmp_path: Path, run: Path, here: Here, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    places: dict[str, Any] = {"RUN": run, "EMPTY": tmp_path / "empty"}
    code, out, err = here("predict", *(places.get(word, word) for word in words))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_a_csv_that_cannot_be_written(tmp_path: Path, run: Path, here: Here) -> None:
    Image.fromarray(np.full((64, 64), 90, np.uint8)).save(tmp_path / "a.png")
    long = tmp_path / f"{'x' * 250}.csv"  # too long beside a suffix of its own, whoever the user is
    code, out, err = here("predict", run, tmp_path / "a.png", "--csv", long)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{long} cannot be written (File name too long); name another file with --csv" in err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tmp_path: Path, run: Path, hospital: Path, here: Here) -> None:
    code, _, err = here("predict", run, hospital / "images", "--device", "cuda")
    assert code == 2
    assert "PyTorch finds no GPU here" in err
