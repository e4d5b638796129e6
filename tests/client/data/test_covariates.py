"""A patient has one covariate, or none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from client.data.admission import admit
from client.settings import SiteSettings

Make = Callable[..., SiteSettings]
DATA = 'image = "file"\ncovariate = "irds"'
HEAD = "patient,file,grade,irds\n"


def test_what_differs_within_a_patient_counts_as_missing_once(
    make_site: Make, fill: Callable[..., None]
) -> None:
    """However the table speaks of the patient: a row an image, or several rows of one image."""
    fill("1.png", "2.png", "3.png", "4.png", "5.png")
    rows = "P1,1.png,severe,2\nP1,2.png,severe,3\nP1,3.png,severe,\nP2,4.png,none,1\nP2,4.png,none,"
    admission = admit(make_site(HEAD + rows + "\nP3,5.png,none,x\n", DATA), 16, "pad")
    of_image = [(r.patient, r.covariate) for r in admission.cohort.radiographs]
    assert of_image == [("P1", None)] * 3 + [("P2", 1.0), ("P3", None)]
    assert admission.cohort.covariates() == {"P2": 1.0}
    report = admission.report
    assert (report.contradictory_covariates, report.unreadable_covariates) == (1, 1)
    assert "1 patient(s) whose rows differ in the covariate" in " ".join(report.warnings)


def test_a_covariate_of_one_image_is_the_patients(
    make_site: Make, fill: Callable[..., None]
) -> None:
    fill("1.png", "2.png")
    site = make_site(HEAD + "P1,1.png,severe,2\nP1,2.png,severe,\n", DATA)
    assert [r.covariate for r in admit(site, 16, "pad").cohort.radiographs] == [2.0, 2.0]


@pytest.mark.parametrize(
    ("values", "measured"),
    [
        ([f"{n % 4}" for n in range(8)], False),
        ([f"{n % 5}" for n in range(8)], True),  # few patients, more than one value for two
        ([f"{n % 20}" for n in range(42)], False),
        ([f"{n % 21}" for n in range(42)], True),
        ([""] * 8, False),
    ],
)
def test_a_measurement_is_told_from_a_grade(
    make_site: Make, fill: Callable[..., None], values: list[str], measured: bool
) -> None:
    fill(*(f"{n}.png" for n in range(len(values))))
    rows = "".join(f"P{n},{n}.png,none,{value}\n" for n, value in enumerate(values))
    report = admit(make_site(HEAD + rows, DATA), 32, "pad").report
    assert report.covariate_values == len(set(values) - {""})
    assert report.covariate_is_grade is not measured
    assert any("value(s) of the covariate, too many" in w for w in report.warnings) is measured
