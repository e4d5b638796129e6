"""What admission found at a site, in counts and in sentences."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from client.data.cohort import ClassCounts

FRONTAL_VIEWS = frozenset({"AP", "PA"})
UNKNOWN = "not stated"
SHARED = "same image for several patients"


@dataclass(frozen=True)
class AdmissionReport:
    """Counts of one admission; it stays at the site.

    Every image file is admitted, rejected, a duplicate, without label, or of an outcome that is
    not used or that contradicts another of its patient: these six add up to `images_found`.
    `rejected` lists (path relative to the images folder, reason) and is left out of `to_json`,
    since file names may identify patients. The tallies are over admitted images.
    """

    site: str
    images_found: int
    images_admitted: int
    rejected: tuple[tuple[str, str], ...] = field(repr=False)
    duplicates: int
    images_without_label: int
    images_of_unused_outcome: int
    images_of_contradictory_patients: int
    label_rows: int
    labels_without_image: int
    labels_without_patient: int
    missing_outcomes: int
    excluded_outcomes: Mapping[str, int]
    contradictory_patients: int
    unreadable_covariates: int
    counts: ClassCounts
    formats: Mapping[str, int]
    photometric_interpretations: Mapping[str, int]
    bits: Mapping[str, int]
    views: Mapping[str, int]
    burned_in_annotations: Mapping[str, int]
    modalities: Mapping[str, int]
    transfer_syntaxes: Mapping[str, int]
    presentation_intents: Mapping[str, int]
    repeated_pictures: int
    cached: int
    decoded: int
    oldest_cache_days: float | None
    ambiguous_images: tuple[str, ...] = field(repr=False)
    rejected_share: float
    max_rejected: float

    @property
    def rejected_by_reason(self) -> dict[str, int]:
        """How many images were set aside for each reason, the commonest first."""
        return dict(Counter(reason for _, reason in self.rejected).most_common())

    @property
    def problems(self) -> tuple[str, ...]:
        """Why this site cannot train, the most important sentence first; empty if it can."""
        return tuple(_problems(self))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the site's owner should look at; training goes on."""
        return tuple(_warnings(self))

    def to_json(self) -> dict[str, Any]:
        """Counts and sentences for programs; no file names, except in the problem they cause."""
        record = {
            key: dict(value) if isinstance(value, Mapping) else value
            for key, value in dataclasses.asdict(self).items()
            if key not in ("rejected", "ambiguous_images")
        }
        return record | {
            "rejected": len(self.rejected),
            "rejected_by_reason": self.rejected_by_reason,
            "problems": list(self.problems),
            "warnings": list(self.warnings),
        }


def _problems(report: AdmissionReport) -> list[str]:
    site = f"Site '{report.site}'"
    if report.images_found == 0:
        return [
            f"{site} has no DICOM, PNG or JPEG image in its images folder; put them there, or "
            "correct images in [data] of site.toml."
        ]
    problems: list[str] = []
    if report.ambiguous_images:
        names = ", ".join(f"'{name}'" for name in report.ambiguous_images)
        problems.append(
            f"{site} has several files for the image {names} of its table; "
            "give the path relative to the images folder."
        )
    if report.rejected_share > report.max_rejected:
        reasons = _listed(report.rejected_by_reason)
        problems.append(
            f"{site} has {report.rejected_share:.1%} of its labelled images set aside, more than "
            f"max-rejected allows ({report.max_rejected:.1%}): {reasons}. Replace these files, "
            "which `fedthaw site check` lists, or raise max-rejected in [policy] of site.toml."
        )
    counts = report.counts
    if counts.patients == 0:
        return [*problems, f"{site} has no image with a usable outcome: {_why_none(report)}."]
    patients = {"positive": counts.positive_patients, "negative": counts.negative_patients}
    for name, number in patients.items():
        if number == 0:
            problems.append(
                f"{site} has no {name} patient; check the {name} list in [data] of site.toml"
                f"{_excluded(report)}."
            )
        elif number == 1:
            problems.append(
                f"{site} has too few patients: 1 {name}, and training and validation need at "
                "least 2 of each class; add patients, or leave this site out."
            )
    return problems


def _why_none(report: AdmissionReport) -> str:
    return (
        f"{report.images_found} images, {report.label_rows} rows, {report.labels_without_image} "
        f"rows without image, {report.images_without_label} images without row, "
        f"{report.missing_outcomes} outcomes missing{_excluded(report)}; "
        "check the columns and outcomes in [data] of site.toml"
    )


def _excluded(report: AdmissionReport) -> str:
    if not report.excluded_outcomes:
        return ""
    return f" (outcomes in neither list: {_listed(report.excluded_outcomes)})"


def _warnings(report: AdmissionReport) -> list[str]:
    other_views = {
        view: number
        for view, number in report.views.items()
        if view not in FRONTAL_VIEWS and view != UNKNOWN
    }
    sentences = {
        f"set aside: {_listed(report.rejected_by_reason)}": len(report.rejected),
        "say that annotation is burned in (names or marks may show)": (
            report.burned_in_annotations.get("YES", 0)
        ),
        f"of another view than AP or PA: {_listed(other_views)}": sum(other_views.values()),
        "for processing, not for presentation; their contrast differs": (
            report.presentation_intents.get("FOR PROCESSING", 0)
        ),
        "duplicates of another file of the same patient, left out": report.duplicates,
        "with the pixels of another patient's image in a different file": report.repeated_pictures,
        "without a row in the table": report.images_without_label,
    }
    rows = {
        "without an image": report.labels_without_image,
        "without a patient": report.labels_without_patient,
        "without an outcome": report.missing_outcomes,
        f"with an outcome in neither list: {_listed(report.excluded_outcomes)}": sum(
            report.excluded_outcomes.values()
        ),
        "with a covariate that is no number, or that differs within a patient": (
            report.unreadable_covariates
        ),
    }
    patients = {"with contradictory outcomes, set aside": report.contradictory_patients}
    groups = {"image(s)": sentences, "row(s)": rows, "patient(s)": patients}
    return [
        f"{number} {noun} {text}."
        for noun, group in groups.items()
        for text, number in group.items()
        if number
    ]


def _listed(tally: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({number})" for name, number in tally.items())
