"""What a site's owner should look at, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from client.data.counts import AdmissionCounts
from shared.metrics.grades import MOST_LEVELS
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.plain import shown

UNKNOWN = "not stated"
NAMED = 10
LIST = "`fedthaw site check --list` names them"


def warnings_of(report: AdmissionCounts) -> list[str]:
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
        "value(s)": {**_covariate_findings(report), **_label_findings(report)},
        "class(es)" if report.outcome.exclusive else "group(s)": _class_findings(report),
    }
    counted = [
        f"{number} {noun} {text}."
        for noun, group in groups.items()
        for text, number in group.items()
        if number
    ]
    return [*report.table_notes, *counted]


def _image_findings(report: AdmissionCounts) -> dict[str, int]:
    return {
        f"set aside: {listed(report.rejected_by_reason)}": len(report.rejected),
        "say that annotation is burned in (names or marks may show)": (
            report.burned_in_annotations.get("YES", 0)
        ),
        "that are not frontal chest radiographs by their headers; they are used unless "
        "frontal-chest-only = true in [data] of site.toml excludes them: "
        f"{listed(report.other_subjects)}": report.images_flagged_as_other,
        "that are not frontal chest radiographs by their headers, excluded by frontal-chest-only: "
        f"{listed(report.other_subjects)}": report.images_of_other_subjects,
        "for processing, not for presentation; their contrast differs": (
            report.presentation_intents.get("FOR PROCESSING", 0)
        ),
        **report.remarks,
        "duplicates of another file of the same patient, excluded": report.duplicates,
        "without a row in the table": report.images_without_label,
        "probably meant by rows that spell their names differently: one mistake, counted as an "
        f"image and as a row ({LIST})": report.images_meant_by_rows,
        "whose Patient ID is not the patient that the table gives them; the table counts": (
            report.contradicting_patient_ids
        ),
    }


def not_checked_of(report: AdmissionCounts) -> Iterator[str]:
    """What nothing in the files says, so that their owner has to know it."""
    if report.images_not_checked:
        yield (
            f"{report.images_not_checked} image(s) do not say all of what they show, so it was not "
            "checked whether they are frontal chest radiographs; not stated: "
            f"{listed(report.not_stated)}. PNG and JPEG never do."
        )


def _row_findings(report: AdmissionCounts) -> dict[str, int]:
    return {
        f"without an image: {listed(report.unmatched_rows)}": report.labels_without_image,
        "of these would have one but for leading zeros, a final .0 or letter case in the patient; "
        "write it as the images have it (as text, where a spreadsheet takes it for a number)": (
            report.labels_nearly_matched
        ),
        f"set aside: {listed(report.bad_rows)}": sum(report.bad_rows.values()),
        "without an outcome": report.missing_outcomes,
        f"{_in_no_list(report.outcome)}: {outcomes_in_neither(report)}": (
            sum(report.excluded_outcomes.values()) if report.outcome.exclusive else 0
        ),
        "with a covariate that is not a number": report.unreadable_covariates,
    }


def _in_no_list(outcome: Outcome) -> str:
    if outcome == BINARY:
        return "with an outcome in neither list"
    return "with a value in no class's list"


def _label_findings(report: AdmissionCounts) -> dict[str, int]:
    values = outcomes_in_neither(report)
    return {
        f"of labels in neither list, which count as missing: {values}": (
            0 if report.outcome.exclusive else sum(report.excluded_outcomes.values())
        )
    }


def _class_findings(report: AdmissionCounts) -> dict[str, int]:
    """What becomes of classes that a site has few patients of, where it may."""
    if report.outcome.every_class or not report.counts.patients:
        return {}
    absent = [one.word for one in report.counts.classes if one.patients == 0]
    single = [one.word for one in report.counts.classes if one.patients == 1]
    return {
        f"without a patient here, which other sites may have: {', '.join(absent)}": len(absent),
        f"with one patient, who is trained on and not validated: {', '.join(single)}": len(single),
    }


def _patient_id_findings(report: AdmissionCounts) -> dict[str, int]:
    return {
        "stand under several patients of the table; unless they were written over the true ones, "
        "give each person one identifier, or training and validation may share a patient": (
            report.shared_patient_ids
        )
    }


def _covariate_findings(report: AdmissionCounts) -> dict[str, int]:
    measured = 0 if report.covariate_is_grade else report.covariate_values
    if report.outcome != BINARY:
        return {
            "of the covariate, which is not used: a grade is compared with the scores of a finding "
            "alone; take covariate out of [data]": report.covariate_values
        }
    return {
        f"of the covariate, too many for a grade (at most {MOST_LEVELS}, and half as many as "
        "patients): it is taken for a measurement, which could identify patients, so nothing of "
        "it is sent or compared": measured
    }


def too_many_for_outcomes(tally: Mapping[str, int]) -> str:
    """A phrase in place of the values where nearly every row has its own: they may be identifiers.

    Empty where they may be shown.
    """
    if len(tally) > NAMED and 2 * len(tally) > sum(tally.values()):
        return f"{len(tally)} different values, too many for outcomes"
    return ""


def outcomes_in_neither(report: AdmissionCounts) -> str:
    """Outcomes that site.toml does not list, or how many where they may not be shown."""
    return too_many_for_outcomes(report.excluded_outcomes) or listed(report.excluded_outcomes)


def listed(tally: Mapping[str, int]) -> str:
    """Names with their numbers, at most `NAMED` of them."""
    items = [f"{shown(name)} ({number})" for name, number in tally.items()]
    more = len(items) - NAMED
    return ", ".join([*items[:NAMED], *([f"{more} more"] if more > 0 else [])])
