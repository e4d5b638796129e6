"""What the owner of a proposed site.toml should look at before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator

from client.proposal.classes import OneColumn
from client.proposal.columns import Column
from client.proposal.found import Found
from client.proposal.labels import Labels
from client.proposal.words import EXAMINATION_NAME, plain

_FEWEST = 2


def checks_of(
    outcome: OneColumn | Labels, image: Column | None, patient: Column, found: Found
) -> Iterator[str]:
    """Sentences on the outcome, on who counts as a patient, on rows and images, on few patients."""
    yield from outcome.remarks
    if image is not None and patient is image:
        yield (
            "No column names patients, so each image counts as a patient of its own. If a patient "
            "has several images, add a column with the patient: otherwise training and validation "
            "share patients."
        )
    elif EXAMINATION_NAME.search(plain(patient.name)):
        yield (
            "The patient column may name examinations; if a patient has several, choose the "
            "patients' column with --patient: otherwise training and validation share patients."
        )
    excluded, contradictory = _of_rows(outcome)
    for number, text in (
        (found.excluded, excluded),
        (found.contradictory, contradictory),
        (found.bad_rows, "row(s) cannot be used (no patient, or damaged)"),
        (found.rows_without_image, "row(s) have no image"),
        (
            found.nearly_matched,
            "of these have one but for leading zeros, a final .0 or letter case in the patient; "
            "write patients as the images have them, as text",
        ),
        (found.files_without_row, "image(s) have no row"),
        (found.shared, "image(s) have rows of several patients; they are excluded"),
    ):
        if number:
            yield f"{number} {text}."
    yield from _few_of_labels(found) if isinstance(outcome, Labels) else _few(outcome, found)


def _of_rows(outcome: OneColumn | Labels) -> tuple[str, str]:
    """What is said of rows that are excluded, and of patients whose rows differ."""
    if isinstance(outcome, Labels):
        return (
            "row(s) say nothing of any label; they are excluded",
            "patient(s) have rows that contradict each other in a label; they are excluded",
        )
    no_list, which = (
        ("no class", "different") if outcome.classes.several else ("neither list", "both")
    )
    return (
        f"row(s) have an outcome in {no_list}, or none; they are excluded",
        f"patient(s) have rows of {which} classes; they are excluded",
    )


def _few(outcome: OneColumn, found: Found) -> Iterator[str]:
    for word, patients, _ in found.patients:
        if patients < _FEWEST and not outcome.classes.several:
            yield f"{patients} {word} patient(s): training and validation need {_FEWEST} at least."


def _few_of_labels(found: Found) -> Iterator[str]:
    few = [f"'{word}' ({n})" for word, n, _ in found.patients if n < _FEWEST]
    if len(few) == len(found.patients):
        yield (
            f"No label has {_FEWEST} patients with it, or {_FEWEST} without it: this site cannot "
            "train."
        )
    elif few:
        yield (
            f"Fewer than {_FEWEST} patients here: {', '.join(few)}. Training goes on, as other "
            "sites may have more."
        )
