"""What admission found at a site, in sentences for its owner."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from shared.metrics.grades import MOST_LEVELS

if TYPE_CHECKING:
    from client.data.report import AdmissionReport

FRONTAL_VIEWS = frozenset({"AP", "PA"})
RADIOGRAPHY = frozenset({"CR", "DX", "DR", "RG"})
CHEST = frozenset({"CHEST", "THORAX"})
UNKNOWN = "not stated"
NAMED = 10


def problems_of(report: AdmissionReport) -> list[str]:
    """Why this site cannot train, the most important sentence first; empty if it can."""
    site = f"Site '{report.site}'"
    if report.images_found == 0:
        return [
            f"{site} has no DICOM, PNG or JPEG image in its images folder; put them there, or "
            "correct images in [data] of site.toml."
        ]
    problems = [*_ambiguities(site, report), *_too_many_rejected(site, report)]
    if report.counts.patients == 0:
        return [*problems, f"{site} has no image with a usable outcome: {_why_none(report)}."]
    return [*problems, *_one_under_two_names(site, report), *_too_few_patients(site, report)]


def _ambiguities(site: str, report: AdmissionReport) -> Iterator[str]:
    if report.ambiguous_images:
        yield (
            f"{site} has several files for the image {_named(report.ambiguous_images)} of its "
            "table; give the path relative to the images folder."
        )
    if report.ambiguous_files:
        yield (
            f"{site} has images whose name and folder are those of different patients: "
            f"{_named(report.ambiguous_files)}; rename them, or name as `image` in [data] of "
            "site.toml a column that gives each image's path relative to the images folder."
        )


def _one_under_two_names(site: str, report: AdmissionReport) -> Iterator[str]:
    if report.coinciding_patients:
        yield (
            f"{site} has {report.coinciding_patients} patients whose identifiers differ from "
            "another's in leading zeros or a final .0 alone, as 7, 007 and 7.0 do: one patient "
            "taken for two may be in training and in validation at once. Write a patient's "
            "identifier in one way; if they are different patients, put a letter before those of "
            "one source (matched by DICOM Patient ID, the table needs an `image` column for that)."
        )


def _too_many_rejected(site: str, report: AdmissionReport) -> Iterator[str]:
    if report.rejected_share > report.max_rejected:
        yield (
            f"{site} has {report.rejected_share:.1%} of its labelled images set aside, more than "
            f"max-rejected allows ({report.max_rejected:.1%}): "
            f"{_listed(report.rejected_by_reason)}. Replace these files, "
            "which `fedthaw site check` lists, or raise max-rejected in [policy] of site.toml."
        )


def _too_few_patients(site: str, report: AdmissionReport) -> Iterator[str]:
    counts = report.counts
    patients = {"positive": counts.positive_patients, "negative": counts.negative_patients}
    for name, number in patients.items():
        if number == 0:
            yield (
                f"{site} has no {name} patient; check the {name} list in [data] of site.toml"
                f"{_excluded(report)}."
            )
        elif number == 1:
            yield (
                f"{site} has too few patients: 1 {name}, and training and validation need at "
                "least 2 of each class; add patients, or leave this site out."
            )


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


def warnings_of(report: AdmissionReport) -> list[str]:
    """What the site's owner should look at; training goes on."""
    groups = {
        "image(s)": _image_findings(report),
        "row(s)": _row_findings(report),
        "patient(s)": {
            "with contradictory outcomes, set aside": report.contradictory_patients,
            "whose rows differ in the covariate, which count as without one": (
                report.contradictory_covariates
            ),
        },
        "DICOM Patient ID(s)": _patient_id_findings(report),
        "value(s)": _covariate_findings(report),
    }
    return [
        f"{number} {noun} {text}."
        for noun, group in groups.items()
        for text, number in group.items()
        if number
    ]


def _image_findings(report: AdmissionReport) -> dict[str, int]:
    views = _others(report.views, FRONTAL_VIEWS)
    modalities = _others(report.modalities, RADIOGRAPHY)
    parts = _others(report.body_parts, CHEST)
    return {
        f"set aside: {_listed(report.rejected_by_reason)}": len(report.rejected),
        "say that annotation is burned in (names or marks may show)": (
            report.burned_in_annotations.get("YES", 0)
        ),
        f"of another view than AP or PA: {_listed(views)}": sum(views.values()),
        f"of another modality than CR, DX, DR or RG: {_listed(modalities)}": (
            sum(modalities.values())
        ),
        f"of another body part than the chest: {_listed(parts)}": sum(parts.values()),
        "for processing, not for presentation; their contrast differs": (
            report.presentation_intents.get("FOR PROCESSING", 0)
        ),
        **report.remarks,
        "duplicates of another file of the same patient, left out": report.duplicates,
        "without a row in the table": report.images_without_label,
    }


def _row_findings(report: AdmissionReport) -> dict[str, int]:
    return {
        "without an image": report.labels_without_image,
        "of these would have one but for leading zeros or a final .0 in the patient; write it as "
        "the images have it (as text, where a spreadsheet takes it for a number)": (
            report.labels_nearly_matched
        ),
        "without a patient": report.labels_without_patient,
        "without an outcome": report.missing_outcomes,
        f"with an outcome in neither list: {_listed(report.excluded_outcomes)}": sum(
            report.excluded_outcomes.values()
        ),
        "with a covariate that is no number": report.unreadable_covariates,
    }


def _patient_id_findings(report: AdmissionReport) -> dict[str, int]:
    return {
        "stand under several patients of the table; unless they were written over the true ones, "
        "give each person one identifier, or training and validation may share a patient": (
            report.shared_patient_ids
        )
    }


def _covariate_findings(report: AdmissionReport) -> dict[str, int]:
    measured = 0 if report.covariate_is_grade else report.covariate_values
    return {
        f"of the covariate, too many for a grade (at most {MOST_LEVELS}, and half as many as "
        "patients): it is taken for a measurement, which would tell patients apart, so nothing of "
        "it is sent or compared": measured
    }


def _others(tally: Mapping[str, int], usual: Collection[str]) -> dict[str, int]:
    return {
        name: number
        for name, number in tally.items()
        if name != UNKNOWN and name.upper() not in usual
    }


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:NAMED])
    return f"{shown} and {len(names) - NAMED} more" if len(names) > NAMED else shown


def _listed(tally: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({number})" for name, number in tally.items())
