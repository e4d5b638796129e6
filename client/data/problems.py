"""Why a site cannot train, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from client.data.counts import AdmissionCounts
from client.data.findings import (
    LIST,
    listed,
    outcomes_in_neither,
)
from client.data.matching import in_no_list
from client.imaging.raster import IN_COLOUR
from client.imaging.remarks import WITHOUT_COLOUR


def problems_of(report: AdmissionCounts) -> list[str]:
    """Why this site cannot train, the most important sentence first; empty if it can."""
    site = f"Site '{report.site}'"
    if report.images_found == 0:
        return [
            f"{site} has no DICOM, PNG or JPEG image in its images folder; put them there, or "
            "correct images in [data] of site.toml."
        ]
    problems = [
        *_other_colours(site, report),
        *_ambiguities(site, report),
        *_too_many_rejected(site, report),
    ]
    if report.counts.patients == 0:
        return [*problems, f"{site} has no image with a usable outcome: {_why_none(report)}."]
    return [*problems, *_one_under_two_names(site, report), *_too_few_patients(site, report)]


def lacks_colour(report: AdmissionCounts) -> bool:
    """Whether the run reads colour and no image has any."""
    return 0 < report.images_admitted == report.remarks.get(WITHOUT_COLOUR)


def is_in_colour(report: AdmissionCounts) -> bool:
    """Whether images are set aside for their colours, and more of them than are used."""
    return report.rejected_by_reason.get(IN_COLOUR, 0) > report.images_admitted


def _other_colours(site: str, report: AdmissionCounts) -> Iterator[str]:
    if lacks_colour(report):
        yield (
            f"{site} has only greyscale images, but the run reads colour (image-colour=rgb). "
            "Supply colour images, leave this site out, or set image-colour=grey."
        )
    if is_in_colour(report):
        yield (
            f"{site} has colour images, but the run reads greyscale (image-colour=grey). Set "
            "image-colour=rgb (check with `fedthaw site check --image-colour rgb`), or supply "
            "greyscale images."
        )


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
    return f" (outcomes {in_no_list(report.outcome)}: {outcomes_in_neither(report)})"
