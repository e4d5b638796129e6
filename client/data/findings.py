"""What a site's owner should look at, and why a site cannot train, in sentences."""

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
        "with a covariate that is no number": report.unreadable_covariates,
    }


def _in_no_list(outcome: Outcome) -> str:
    if outcome == BINARY:
        return "with an outcome in neither list"
    return "with an outcome in the list of no class"


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


def problems_of(report: AdmissionCounts) -> list[str]:
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


def _ambiguities(site: str, report: AdmissionCounts) -> Iterator[str]:
    """Counts alone: the names may be patients', and these sentences get into logs."""
    if number := len(report.ambiguous_images):
        yield (
            f"{site} has several files for the same image name, for {number} name(s) of its "
            f"table; give the path relative to the images folder ({LIST})."
        )
    if number := len(report.ambiguous_files):
        yield (
            f"{site} has {number} image(s) whose name and folder are those of different patients; "
            "rename them, or name as `image` in [data] of site.toml a column that gives each "
            f"image's path relative to the images folder ({LIST})."
        )


def _one_under_two_names(site: str, report: AdmissionCounts) -> Iterator[str]:
    if report.coinciding_patients:
        yield (
            f"{site} has {report.coinciding_patients} patients whose identifiers differ from "
            "another's in leading zeros, a final .0, blanks or invisible characters alone, as 7, "
            "007 and 7.0 do: possible duplicate IDs, and with them train/validation leakage. "
            "Write a patient's identifier in one way; if they are different patients, put a "
            "letter before those of one source (matched by DICOM Patient ID, the table needs an "
            "`image` column for that)."
        )


def _too_many_rejected(site: str, report: AdmissionCounts) -> Iterator[str]:
    if report.rejected_share > report.max_rejected:
        reasons = dict(report.rejected_by_reason)
        remedy = "Replace these files"
        if report.images_vanished:
            reasons["file missing, or its row set aside"] = report.images_vanished
            remedy += ", correct these rows or take them out"
        yield (
            f"{site} has {report.rejected_share:.1%} of its labelled images set aside, more than "
            f"max-rejected allows ({report.max_rejected:.1%}): {listed(reasons)}. {remedy} "
            f"({LIST}), or raise max-rejected in [policy] of site.toml."
        )


def _too_few_patients(site: str, report: AdmissionCounts) -> Iterator[str]:
    if not report.outcome.every_class:
        if max(one.patients for one in report.counts.classes) < 2:
            yield (
                f"{site} has too few patients: no two of the same class, and training and "
                "validation need at least 2 of one; add patients, or leave this site out."
            )
        return
    for one in report.counts.classes:
        if one.patients == 0:
            yield (
                f"{site} has no {one.word} patient; check the {one.word} list in [data] of "
                f"site.toml{_excluded(report)}."
            )
        elif one.patients == 1:
            yield (
                f"{site} has too few patients: 1 {one.word}, and training and validation need at "
                "least 2 of each class; add patients, or leave this site out."
            )


def _why_none(report: AdmissionCounts) -> str:
    return (
        f"{report.images_found} images, {report.label_rows} rows, {report.labels_without_image} "
        f"rows without image, {report.images_without_label} images without row, "
        f"{report.missing_outcomes} outcomes missing{_excluded(report)}{_other(report)}"
        f"{_rows_why(report)}; "
        "check the columns and outcomes in [data] of site.toml"
    )


def _other(report: AdmissionCounts) -> str:
    number = report.images_of_other_subjects
    return f", {number} images excluded by frontal-chest-only" if number else ""


def _rows_why(report: AdmissionCounts) -> str:
    """Why rows are without image or set aside."""
    reasons = {**report.unmatched_rows, **report.bad_rows}
    return f" (rows: {listed(reasons)}; {LIST})" if reasons else ""


def _excluded(report: AdmissionCounts) -> str:
    if not report.excluded_outcomes:
        return ""
    return f" (outcomes in neither list: {outcomes_in_neither(report)})"
