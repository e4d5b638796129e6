"""What the owner of a site should look at, in sentences; training goes on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from client.imaging.facts import ImageFacts
from shared.metrics.grades import MOST_LEVELS
from shared.plain import shown

if TYPE_CHECKING:
    from client.data.report import AdmissionReport

FRONTAL_VIEWS = frozenset({"AP", "PA"})
RADIOGRAPHY = frozenset({"CR", "DX", "DR", "RG"})
CHEST = frozenset({"CHEST", "THORAX"})
UNKNOWN = "not stated"
NAMED = 10
LIST = "`fedthaw site check --list` names them"


def doubts_of(facts: ImageFacts) -> Iterator[str]:
    """What in its header makes an image doubtful among frontal chest radiographs; it is used."""
    if facts.burned_in_annotation == "YES":
        yield "annotation is burned in"
    for name, value, usual in (
        ("view", facts.view, FRONTAL_VIEWS),
        ("modality", facts.modality, RADIOGRAPHY),
        ("body part", facts.body_part, CHEST),
    ):
        if value is not None and value.upper() not in usual:
            yield f"{name} {value}"
    if facts.presentation_intent == "FOR PROCESSING":
        yield "for processing, not for presentation"


def warnings_of(report: AdmissionReport) -> list[str]:
    """What the site's owner should look at; training goes on."""
    groups = {
        "image(s)": _image_findings(report),
        "file(s)": {
            "of the operating system or of network storage, excluded: " + listed(report.left_out): (
                sum(report.left_out.values())
            )
        },
        "row(s)": _row_findings(report),
        "patient(s)": {
            "whose identifiers differ from another's in upper and lower case alone; if they are "
            "one person, write them in one way, or training and validation may share a patient": (
                report.patients_differing_in_case
            ),
            "with contradictory outcomes, set aside": report.contradictory_patients,
            "whose rows differ in the covariate, which count as without one": (
                report.contradictory_covariates
            ),
        },
        "image name(s) or patient(s)": {
            f"matched though the table differs {what}": number
            for what, number in report.adapted.items()
        },
        "DICOM Patient ID(s)": _patient_id_findings(report),
        "value(s)": _covariate_findings(report),
    }
    counted = [
        f"{number} {noun} {text}."
        for noun, group in groups.items()
        for text, number in group.items()
        if number
    ]
    return [*report.table_notes, *counted]


def _image_findings(report: AdmissionReport) -> dict[str, int]:
    views = _others(report.views, FRONTAL_VIEWS)
    modalities = _others(report.modalities, RADIOGRAPHY)
    parts = _others(report.body_parts, CHEST)
    return {
        f"set aside: {listed(report.rejected_by_reason)}": len(report.rejected),
        "say that annotation is burned in (names or marks may show)": (
            report.burned_in_annotations.get("YES", 0)
        ),
        f"of another view than AP or PA: {listed(views)}": sum(views.values()),
        f"of another modality than CR, DX, DR or RG: {listed(modalities)}": (
            sum(modalities.values())
        ),
        f"of another body part than the chest: {listed(parts)}": sum(parts.values()),
        "for processing, not for presentation; their contrast differs": (
            report.presentation_intents.get("FOR PROCESSING", 0)
        ),
        **report.remarks,
        "duplicates of another file of the same patient, excluded": report.duplicates,
        "without a row in the table": report.images_without_label,
        "whose Patient ID is not the patient that the table gives them; the table counts": (
            report.contradicting_patient_ids
        ),
    }


def _row_findings(report: AdmissionReport) -> dict[str, int]:
    return {
        f"without an image: {listed(report.unmatched_rows)}": report.labels_without_image,
        "of these would have one but for leading zeros, a final .0 or letter case in the patient; "
        "write it as the images have it (as text, where a spreadsheet takes it for a number)": (
            report.labels_nearly_matched
        ),
        f"set aside: {listed(report.bad_rows)}": sum(report.bad_rows.values()),
        "without an outcome": report.missing_outcomes,
        f"with an outcome in neither list: {outcomes_in_neither(report)}": sum(
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
        "patients): it is taken for a measurement, which could identify patients, so nothing of "
        "it is sent or compared": measured
    }


def _others(tally: Mapping[str, int], usual: Collection[str]) -> dict[str, int]:
    return {
        name: number
        for name, number in tally.items()
        if name != UNKNOWN and name.upper() not in usual
    }


def too_many_for_outcomes(tally: Mapping[str, int]) -> str:
    """A phrase in place of the values where nearly every row has its own: they may be identifiers.

    Empty where they may be shown.
    """
    if len(tally) > NAMED and 2 * len(tally) > sum(tally.values()):
        return f"{len(tally)} different values, too many for outcomes"
    return ""


def outcomes_in_neither(report: AdmissionReport) -> str:
    """Outcomes that site.toml does not list, or how many where they may not be shown."""
    return too_many_for_outcomes(report.excluded_outcomes) or listed(report.excluded_outcomes)


def listed(tally: Mapping[str, int]) -> str:
    """Names with their numbers, at most `NAMED` of them."""
    items = [f"{shown(name)} ({number})" for name, number in tally.items()]
    more = len(items) - NAMED
    return ", ".join([*items[:NAMED], *([f"{more} more"] if more > 0 else [])])
