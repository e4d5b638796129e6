"""Patients' scores as CSV, for the owner of these patients alone: it names them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from scipy.special import expit, logit

from shared.outcome.binary import BINARY
from shared.outcome.labels import LabelsOutcome
from shared.outcome.outcome import Outcome
from shared.outcome.registry import parse_outcome
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

    Of several classes or labels the columns are those of `truth_columns` and
    `probability_columns`.

    `recalibration` is intercept and slope on the logit of a score; without one that column is
    empty. Texts are safe in a spreadsheet (`spreadsheet_cell`).
    """
    if files and (outcome := parse_outcome(files[0].outcome)) != BINARY:
        return _several(files, outcome, groups)
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


def truth_columns(outcome: Outcome) -> tuple[str, ...]:
    """Names of the columns that say what a patient has: one, or one for each label."""
    return ("truth",) if outcome.exclusive else tuple(f"truth {one}" for one in outcome.names)


def probability_columns(outcome: Outcome) -> tuple[str, ...]:
    """Names of the columns with the probability of each class or label."""
    return tuple(f"probability {one}" for one in outcome.score_names)


def label_in_words(outcome: Outcome, label: int) -> tuple[str, ...]:
    """What a label says, for `truth_columns`: the class; of labels 1, 0 or nothing for each."""
    if isinstance(outcome, LabelsOutcome):
        return tuple(("", "0", "1")[digit] for digit in outcome.digits(label))
    return (outcome.names[label],)


def _several(files: Sequence[ScoreFile], outcome: Outcome, groups: Sequence[Groups]) -> str:
    more = list(dict.fromkeys(name for own in groups for name in own))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = (*truth_columns(outcome), *probability_columns(outcome))
    head = ("site", "set", "patient", *map(spreadsheet_cell, names), "images")
    writer.writerow((*head, *map(spreadsheet_cell, more)))
    for number, file in enumerate(files):
        own = groups[number] if groups else {}
        for row, patient in enumerate(file.patients):
            writer.writerow(
                (
                    spreadsheet_cell(file.site),
                    file.cohort,
                    spreadsheet_cell(patient.patient),
                    *map(spreadsheet_cell, label_in_words(outcome, patient.truth)),
                    *outcome.by_name(patient.scores),
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
