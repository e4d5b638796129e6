"""A prediction of several classes or labels: a column for each, and what is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from client.predict.scores import ImageScore, Prediction
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.plain import shown

_COLUMNS, _LIKELIEST = 5, 3
"""So many classes or labels have a column each on the terminal; of more, so many are named."""


def predicted_names(outcome: Outcome, scores: Sequence[float]) -> tuple[str, ...]:
    """The class that a patient's scores say, or the labels, of which there may be none."""
    return outcome.said(outcome.predicted(scores))


def classes_json(prediction: Prediction) -> dict[str, Any]:
    """What the document has otherwise than for a finding, for which it is empty."""
    outcome = prediction.outcome
    if outcome == BINARY:
        return {}
    return {
        "outcome": str(outcome),
        "operating_point": None,
        "patients": [
            {
                "site": patient.site or None,
                "patient": patient.patient,
                "images": patient.images,
                "probabilities": _named(outcome, patient.scores),
                "predicted": list(predicted_names(outcome, patient.scores)),
            }
            for patient in prediction.patients
        ],
    }


def image_probability(prediction: Prediction, image: ImageScore) -> dict[str, Any]:
    """An image's probability in the document, or its probabilities."""
    if prediction.outcome == BINARY:
        return {"probability": image.probability}
    return {"probabilities": _named(prediction.outcome, image.scores)}


def classes_table(prediction: Prediction) -> Table:
    """A row a patient, a column for each class or label, and what is predicted."""
    outcome, patients = prediction.outcome, prediction.patients
    table = Table(title="Patients")
    sites = any(patient.site for patient in patients)
    if sites:
        table.add_column("site", overflow="fold")
    table.add_column("patient", overflow="fold")
    for column in ("images", *probability_headings(outcome)):
        table.add_column(column, justify="right")
    table.add_column("predicted", overflow="fold")
    for patient in patients:
        table.add_row(
            *([patient.site] if sites else []),
            Text(shown(patient.patient)),
            str(patient.images),
            *probability_cells(outcome, patient.scores),
            ", ".join(predicted_names(outcome, patient.scores)) or "-",
        )
    return table


def probability_headings(outcome: Outcome) -> tuple[str, ...]:
    """A column for each class or label; of many one for the likeliest."""
    few = len(outcome.score_names) <= _COLUMNS
    return outcome.score_names if few else (f"{_LIKELIEST} highest probabilities",)


def probability_cells(outcome: Outcome, scores: Sequence[float]) -> tuple[str, ...]:
    """The cells of `probability_headings`."""
    named = _named(outcome, scores)
    if len(named) <= _COLUMNS:
        return tuple(f"{value:.3f}" for value in named.values())
    highest = sorted(named.items(), key=lambda item: -item[1])[:_LIKELIEST]
    return (", ".join(f"{name} {value:.3f}" for name, value in highest),)


def classes_meaning(outcome: Outcome) -> str:
    """What the columns are worth as probabilities."""
    how = {
        "classes": "Predicted: the class with the highest probability.",
        "ordinal": "Predicted: the highest class that the patient reaches with a probability of "
        "0.5 or more.",
        "labels": "Predicted: each label with a probability of 0.5 or more.",
    }[outcome.kind]
    return (
        f"{how} Not calibrated: training that draws all classes equally often leaves probabilities "
        "of rare ones too high."
    )


def _named(outcome: Outcome, scores: Sequence[float]) -> dict[str, float]:
    return dict(zip(outcome.score_names, outcome.by_name(scores), strict=True))
