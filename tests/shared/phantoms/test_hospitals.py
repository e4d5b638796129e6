"""Synthetic hospitals: their files, their DICOM and their patients."""

from __future__ import annotations

import csv
import dataclasses
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pydicom
import pytest
from pydicom.pixels.processing import apply_voi_lut
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from shared.errors import SiteError
from shared.phantoms import HOSPITALS, HospitalProfile, draw_chest, hospitals, write_hospitals

SIDE = 48
FEW = tuple(dataclasses.replace(profile, patients=4, ungraded=1) for profile in HOSPITALS)
each_hospital = pytest.mark.parametrize("profile", HOSPITALS, ids=lambda profile: profile.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four hospitals, with small images."""
    folder = tmp_path_factory.mktemp("hospitals")
    sites = write_hospitals(folder, image_side=SIDE)
    assert sites == [folder / name for name in ("north", "east", "south", "west")]
    return folder


def test_equal_arguments_give_equal_bytes(tmp_path: Path) -> None:
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        write_hospitals(tmp_path / name, FEW, seed=seed, image_side=SIDE)
    first, again, other = (_contents(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    assert first != other


def test_the_workbook_holds_no_time_of_writing(folder: Path) -> None:
    with zipfile.ZipFile(folder / "east" / "labels.xlsx") as archive:
        assert {member.date_time[0] for member in archive.infolist()} == {1980}
    properties = openpyxl.load_workbook(folder / "east" / "labels.xlsx").properties
    assert properties.created.year == properties.modified.year == 2000


@each_hospital
def test_every_radiograph_is_dicom_as_the_profile_says(
    folder: Path, profile: HospitalProfile
) -> None:
    rows = {row["image"]: row for row in _labels(folder / profile.name)}
    uids: set[str] = set()
    for path, image in _radiographs(folder / profile.name):
        assert image.file_meta.MediaStorageSOPClassUID == image.SOPClassUID
        assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID
        assert image.file_meta.TransferSyntaxUID.is_compressed is profile.compressed
        assert (
            profile.modality
            == {"1.2.840.10008.5.1.4.1.1.1": "CR", "1.2.840.10008.5.1.4.1.1.1.1": "DX"}[
                image.SOPClassUID
            ]
        )
        assert (image.Modality, image.ViewPosition) == (profile.modality, "AP")
        assert image.PhotometricInterpretation == profile.photometric
        assert (image.BitsStored, image.HighBit) == (profile.bits, profile.bits - 1)
        assert image.PixelRepresentation == int(profile.signed)
        assert ("WindowCenter" in image) is ("WindowWidth" in image) is profile.window
        assert image.BurnedInAnnotation == "NO"
        assert image.PatientID == rows.pop(path.name)["patient_id"]
        levels = (image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID)
        assert all(level.is_valid for level in levels)
        uids.update(levels)
    assert not rows
    assert len(uids) == 3 * len(list((folder / profile.name / "images").iterdir()))


@each_hospital
def test_stored_values_fill_their_share_of_the_range(
    folder: Path, profile: HospitalProfile
) -> None:
    lowest = -(2 ** (profile.bits - 1)) if profile.signed else 0
    middle, half = lowest + 2 ** (profile.bits - 1), profile.contrast * 2 ** (profile.bits - 1)
    shape = tuple(round(SIDE * share) for share in profile.shape)
    extremes = []
    for _, image in _radiographs(folder / profile.name):
        assert image.pixel_array.shape == shape
        extremes.append((image.pixel_array.min(), image.pixel_array.max()))
    assert min(low for low, _ in extremes) >= middle - half - 1
    assert max(high for _, high in extremes) <= middle + half + 1
    assert np.ptp(extremes, axis=1).mean() > half


@each_hospital
def test_values_shown_follow_the_phantom(
    tmp_path: Path, profile: HospitalProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    phantom = draw_chest(np.random.default_rng(0), 64, finding=True)
    monkeypatch.setattr(hospitals, "draw_chest", lambda *_, **__: phantom)
    few = dataclasses.replace(profile, patients=1, ungraded=0)
    (site,) = write_hospitals(tmp_path, [few], image_side=64)
    _, image = next(_radiographs(site))
    rows, columns = image.pixel_array.shape
    top, left = (64 - rows) // 2, (64 - columns) // 2
    drawn = phantom[top : top + rows, left : left + columns].astype(np.float64)
    shown = apply_voi_lut(image.pixel_array, image).astype(np.float64)
    if image.PhotometricInterpretation == "MONOCHROME1":
        shown = shown.max() - shown
    assert spearmanr(shown.ravel(), drawn.ravel()).statistic > 0.999


def test_a_window_maps_the_used_values_to_the_whole_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ramp = np.tile(np.linspace(0.0, 1.0, 64, dtype=np.float32), (64, 1))
    monkeypatch.setattr(hospitals, "draw_chest", lambda *_, **__: ramp)
    narrow = dataclasses.replace(HOSPITALS[0], patients=1, ungraded=0, contrast=0.25)
    (site,) = write_hospitals(tmp_path, [narrow], image_side=64)
    _, image = next(_radiographs(site))
    shown = apply_voi_lut(image.pixel_array, image)
    assert np.ptp(image.pixel_array) < 0.26 * 4095
    np.testing.assert_allclose([shown.min(), shown.max()], [0, 4095], atol=1)
    np.testing.assert_allclose(shown, 4095 * ramp, atol=4)


@each_hospital
def test_patients_and_prevalence_are_as_the_profile_says(
    folder: Path, profile: HospitalProfile
) -> None:
    grades = _grades(folder / profile.name)
    known = [grade for grade in grades.values() if grade != "unknown"]
    positives = sum(grade in ("moderate", "severe") for grade in known)
    assert set(known) <= {"no", "mild", "moderate", "severe"}
    assert len(known) == profile.patients
    assert len(grades) == profile.patients + profile.ungraded
    assert positives == round(profile.patients * profile.prevalence)


def test_all_hospitals_keep_five_validation_patients_of_each_class(folder: Path) -> None:
    smallest = {}
    for profile in HOSPITALS:
        grades = [grade for grade in _grades(folder / profile.name).values() if grade != "unknown"]
        outcomes = np.isin(grades, ["moderate", "severe"])
        _, held_out = train_test_split(outcomes, test_size=0.2, stratify=outcomes, random_state=0)
        smallest[profile.name] = min(held_out.sum(), (~held_out).sum())
    assert min(smallest.values()) >= 5, smallest


def test_the_demonstration_stays_small_and_some_patients_have_several_images(
    folder: Path,
) -> None:
    images = {p.name: len(_labels(folder / p.name)) for p in HOSPITALS}
    ratio = {p.name: images[p.name] / (p.patients + p.ungraded) for p in HOSPITALS}
    assert 250 <= sum(images.values()) <= 350
    assert max(ratio, key=lambda name: ratio[name]) == "south"
    assert ratio["south"] > 1.4


def test_the_covariate_is_a_weak_predictor(folder: Path) -> None:
    rows = [row for p in HOSPITALS for row in _labels(folder / p.name)]
    rows = [row for row in rows if row["bpd"] != "unknown"]
    grades = [int(row["irds"]) for row in rows]
    outcomes = [row["bpd"] in ("moderate", "severe") for row in rows]
    assert set(grades) == {1, 2, 3, 4}
    assert 0.52 < roc_auc_score(outcomes, grades) < 0.72


@each_hospital
def test_site_toml_names_what_is_there(folder: Path, profile: HospitalProfile) -> None:
    site = folder / profile.name
    settings = tomllib.loads((site / "site.toml").read_text(encoding="utf-8"))
    data = settings["data"]
    assert set(settings) == {"site", "data", "compute", "policy"}
    assert settings["site"]["name"] == profile.name
    assert (site / data["images"]).is_dir()
    assert (site / data["labels"]).is_file()
    columns = {data[key] for key in ("patient", "image", "outcome", "covariate")}
    assert set(_labels(site)[0]) == columns
    assert {*data["positive"], *data["negative"], "unknown"} == set(_grades(site).values())


def test_a_folder_with_other_data_is_left_alone(tmp_path: Path) -> None:
    own = tmp_path / "north" / "site.toml"
    own.parent.mkdir()
    own.write_text('[site]\nname = "north"\n', encoding="utf-8")
    with pytest.raises(SiteError, match="north exists and is not a synthetic hospital"):
        write_hospitals(tmp_path, FEW, image_side=SIDE)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [own]


def test_writing_again_into_the_same_folder_changes_nothing(tmp_path: Path) -> None:
    write_hospitals(tmp_path, FEW[:1], image_side=SIDE)
    before = _contents(tmp_path)
    write_hospitals(tmp_path, FEW[:1], image_side=SIDE)
    assert _contents(tmp_path) == before


def _contents(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _radiographs(site: Path) -> Iterator[tuple[Path, pydicom.Dataset]]:
    for path in sorted((site / "images").iterdir()):
        yield path, pydicom.dcmread(path)


def _labels(site: Path) -> list[dict[str, Any]]:
    if (site / "labels.csv").exists():
        with (site / "labels.csv").open(encoding="utf-8", newline="") as handle:
            return list(csv.DictReader(handle))
    header, *rows = openpyxl.load_workbook(site / "labels.xlsx").active.values
    return [dict(zip(header, row, strict=True)) for row in rows]


def _grades(site: Path) -> dict[str, str]:
    """The one grade of each patient; fails where a patient's rows disagree."""
    pairs = {(row["patient_id"], row["bpd"]) for row in _labels(site)}
    grades = dict(pairs)
    assert len(pairs) == len(grades)
    return grades
