"""Scores with what table and header say of the patients, for the owner of the folder alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from client.own_scores import (
    ScoresWanted,
    kept_runs,
    kept_scores,
    look_at,
    scores_wanted,
    write_own_scores,
)
from client.scores import KeptScore, keep_scores, scores_file
from client.settings import load_site
from client.workspace import open_workspace
from shared.errors import SiteError
from shared.run.patient_scores import COLUMNS, FOLDER, SEPARATOR, read_scores
from shared.settings.config import RunConfig

Values = Mapping[str, Mapping[str, tuple[str, ...]]]


@pytest.fixture
def dicom_site(
    write_site: Callable[..., Path], write_dicom: Callable[..., Path],
    ramp: Callable[..., NDArray[np.integer]], tmp_path: Path,
) -> Path:  # fmt: skip
    """Three patients; the first has two views, the last a header that says nothing."""
    site = write_site(tmp_path, "north", 0)
    headers: list[dict[str, Any]] = [
        {"ViewPosition": "AP", "Manufacturer": "Acme", "ManufacturerModelName": "X1"},
        {"ViewPosition": "LL", "Manufacturer": "Acme", "ManufacturerModelName": "Acme X2"},
        {"ViewPosition": "PA", "ManufacturerModelName": "X3"},
        {},
    ]
    for number, header in enumerate(headers):
        write_dicom(ramp(seed=number), name=f"north/images/{number}.dcm", **header)
    (site / "labels.csv").write_text(
        "patient,file,outcome,sex,age\n"
        "P0,0.dcm,sick,F,3\nP0,1.dcm,sick,F,4\nP1,2.dcm,well,M,\nP2,3.dcm,sick,,50\n"
        "P2,gone.dcm,sick,M,51\nP3,none.dcm,unknown,F,9\n",
        encoding="utf-8",
    )
    return site


def values_of(site: Path, folder: Path, base: Path, config: RunConfig, *columns: str) -> Values:
    node = {"site": str(site), "weights": str(base), FOLDER: str(folder)}
    workspace = open_workspace(node | {COLUMNS: SEPARATOR.join(columns)}, config)
    assert workspace.scores_wanted == ScoresWanted(folder, columns)
    patients = sorted({radiograph for (_, radiograph) in _patients(workspace)})
    kept = [KeptScore("north", patient, 300, 1, None, 0.7, 2) for patient in patients]
    write_own_scores(workspace.scores_wanted, workspace.parts, kept)
    (file,) = read_scores(folder)
    assert (file.site, file.cohort, file.min_cell) == ("north", "all", 1)
    return {patient.patient: patient.values for patient in file.patients}


def _patients(workspace: Any) -> set[tuple[str, str]]:
    return {sample.patient for sample in workspace.all_samples()}


@pytest.fixture
def left(
    dicom_site: Path, tmp_path: Path, write_base: Callable[..., Path],
    micro_config: Callable[..., RunConfig],
) -> Callable[..., Values]:  # fmt: skip
    """The values of each patient that come with the scores."""
    base, folder = write_base(tmp_path / "base.safetensors"), tmp_path / "scores"
    folder.mkdir()
    return lambda *columns: values_of(
        dicom_site, folder, base, micro_config(weights=str(base)), *columns
    )


def test_columns_say_what_they_say_of_the_images_that_are_there(
    left: Callable[..., Values],
) -> None:
    """Not what they say of rows whose image is missing."""
    assert left("sex", "age") == {
        "P0": {"sex": ("F",), "age": ("3", "4")},
        "P1": {"sex": ("M",), "age": ("",)},
        "P2": {"sex": ("",), "age": ("50",)},
    }


def test_the_header_says_what_no_column_does(left: Callable[..., Values]) -> None:
    assert left("view", "device", "modality") == {
        "P0": {"view": ("AP", "LL"), "device": ("Acme X1", "Acme X2"), "modality": ("DX",)},
        "P1": {"view": ("PA",), "device": ("X3",), "modality": ("DX",)},
        "P2": {"view": ("",), "device": ("",), "modality": ("DX",)},
    }


def test_a_column_of_that_name_goes_before_the_header(
    dicom_site: Path, left: Callable[..., Values]
) -> None:
    table = dicom_site / "labels.csv"
    table.write_text(table.read_text().replace("sex", "view"), encoding="utf-8")
    assert left("view")["P1"] == {"view": ("M",)}


def test_a_column_that_nothing_has(dicom_site: Path) -> None:
    assert look_at(dicom_site, ["sex", "view"]) == ("north", {"sex": {"F", "M", ""}})
    with pytest.raises(SiteError, match=r"no column 'sexe' for subgroups.*Did you mean 'sex'"):
        look_at(dicom_site, ["sexe"])
    table = dicom_site / "labels.csv"
    table.write_text(table.read_text().replace("age", "sex"), encoding="utf-8")
    with pytest.raises(SiteError, match="has 2 columns 'sex'"):
        look_at(dicom_site, ["sex"])


def test_no_deployed_site_is_asked_for_scores_by_patient() -> None:
    node = {FOLDER: "/tmp/x", COLUMNS: "sex\nage"}
    assert scores_wanted(node) == ScoresWanted(Path("/tmp/x"), ("sex", "age"))
    assert scores_wanted(node | {"deployed": True}) is None
    assert scores_wanted({}) is None


def test_a_site_without_scores_says_so(
    dicom_site: Path, here: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = here("site", "scores", dicom_site)
    assert (code, out) == (0, "")  # a list of runs, for programs as well
    assert err == "No scores are kept here: no run, or none in the last 30 days.\n"


def test_scores_that_were_kept_are_those_of_the_run(dicom_site: Path) -> None:
    cache = load_site(dicom_site).cache / "rounds"
    scores = [KeptScore("north", "P0", 300, 1, None, 0.7, 2)]
    old = [KeptScore("north", "P0", 300, 1, None)]  # as an earlier version kept them
    for run, kept in {"r2": scores, "r1": scores, "r0": old}.items():
        keep_scores(scores_file(cache / run / "north", "validation"), kept)
    os.utime(scores_file(cache / "r1" / "north", "validation"), (1, 1))
    assert kept_runs(dicom_site)[0] == "r1"
    (file,) = kept_scores(dicom_site, "r2")
    assert (file.cohort, [one.score for one in file.patients]) == ("validation", [0.7])
    assert kept_scores(dicom_site, "r0") == kept_scores(dicom_site, "none") == ()
