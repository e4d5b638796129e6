"""Patients' scores as CSV, for the owner of these patients alone: it names them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from scipy.special import expit, logit

from shared.plain import spreadsheet_cell
from shared.run.patient_scores import PatientScore, ScoreFile

FILE = "private-scores.csv"
"""Its name, which says that it is not to be handed on."""
COLUMNS = ("site", "set", "patient", "truth", "score", "recalibrated_score", "images")

Groups = Mapping[str, Sequence[str]]
"""Column -> the group of each patient, in the file's order."""


def scores_csv(
    files: Sequence[ScoreFile],
    recalibration: tuple[float, float] | None,
    groups: Sequence[Groups] = (),
) -> str:
    """A row a patient, with a column more for each of the `groups` of each file.

    `recalibration` is intercept and slope on the logit of a score; without one that column is
    empty. Texts are safe in a spreadsheet (`spreadsheet_cell`).
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    more = list(dict.fromkeys(name for own in groups for name in own))
    writer.writerow((*COLUMNS, *map(spreadsheet_cell, more)))
    for number, file in enumerate(files):
        own = groups[number] if groups else {}
        for row, patient in enumerate(file.patients):
            writer.writerow(
                (
                    spreadsheet_cell(file.site),
                    file.cohort,
                    spreadsheet_cell(patient.patient),
                    patient.truth,
                    patient.score,
                    recalibrated(patient, recalibration),
                    patient.images,
                    *(spreadsheet_cell(own[name][row]) for name in more),
                )
            )
    return buffer.getvalue()


def recalibrated(patient: PatientScore, recalibration: tuple[float, float] | None) -> float | None:
    """The probability that intercept and slope make of the score; None without them."""
    if recalibration is None:
        return None
    intercept, slope = recalibration
    return float(expit(intercept + slope * logit(patient.score)))
