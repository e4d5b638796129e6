"""A prediction as tables on a terminal and as JSON."""

from __future__ import annotations

import os
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.predict.classes import (
    classes_json,
    classes_meaning,
    classes_table,
    image_probability,
    probability_cells,
    probability_headings,
)
from client.predict.distance import UNLIKE
from client.predict.files import printable
from client.predict.scores import ImageScore, PatientScore, Prediction, is_unlike
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.plain import shown
from shared.run.finished import NOTICE


def to_json(prediction: Prediction) -> dict[str, Any]:
    """Everything, for programs. It names patients."""
    return {**_of_finding(prediction), **classes_json(prediction)}


def _of_finding(prediction: Prediction) -> dict[str, Any]:
    return {
        "notice": NOTICE,
        "run": prediction.run,
        "operating_point": {
            "name": prediction.point.name,
            "threshold": prediction.point.threshold,
        },
        "caution": prediction.caution,
        "temperature": prediction.temperature,
        "recalibration": _recalibration(prediction.recalibration),
        "patients": [
            {
                "site": patient.site or None,
                "patient": patient.patient,
                "images": patient.images,
                "probability": patient.probability,
                "calibrated": patient.calibrated,
                "positive": patient.positive,
            }
            for patient in prediction.patients
        ],
        "images": [
            {
                "file": printable(image.file),
                "site": image.site or None,
                "patient": image.patient,
                **image_probability(prediction, image),
                "distance": image.distance,
                "unlike_training": is_unlike(image),
                "notes": list(image.notes),
                "explanation": image.explanation,
            }
            for image in prediction.images
        ],
        "refused": [
            {"file": printable(item.path), "reason": item.reason} for item in prediction.refused
        ],
        "tables": list(prediction.tables),
        "rows_without_image": list(prediction.rows_without_image),
    }


def _recalibration(fit: tuple[float, float] | None) -> dict[str, float] | None:
    return None if fit is None else dict(zip(("intercept", "slope"), fit, strict=True))


def print_prediction(prediction: Prediction) -> None:
    """Patients, images, what was refused, and what the figures are worth."""
    console = Console()
    if prediction.images:
        if prediction.outcome == BINARY:
            console.print(_patients(prediction.patients))
        else:
            console.print(classes_table(prediction))
        console.print(_images(prediction.images, prediction.outcome))
    for line in _lines(prediction):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _patients(patients: tuple[PatientScore, ...]) -> Table:
    table = Table(title="Patients")
    sites = any(patient.site for patient in patients)
    if sites:
        table.add_column("site", overflow="fold")
    table.add_column("patient", overflow="fold")
    for column in ("images", "probability", "calibrated"):
        table.add_column(column, justify="right")
    table.add_column("at the threshold")
    for patient in patients:
        table.add_row(
            *([patient.site] if sites else []),
            Text(shown(patient.patient)),
            str(patient.images),
            _number(patient.probability),
            _number(patient.calibrated),
            "positive" if patient.positive else "negative",
        )
    return table


def _images(images: tuple[ImageScore, ...], outcome: Outcome) -> Table:
    folder = os.path.commonpath([image.file.absolute().parent for image in images])
    table = Table(title=Text(f"Images in {shown(folder)}"))
    table.add_column("file", overflow="fold")
    for column in (*_headings(outcome), "distance"):
        table.add_column(column, justify="right")
    table.add_column("notes", overflow="fold")
    for image in images:
        unlike = ("unlike the training images",) if is_unlike(image) else ()
        table.add_row(
            Text(shown(os.path.relpath(image.file.absolute(), folder))),
            *_cells(image, outcome),
            _number(image.distance),
            Text(shown("; ".join((*unlike, *image.notes)))),
        )
    return table


def _headings(outcome: Outcome) -> tuple[str, ...]:
    return ("probability",) if outcome == BINARY else probability_headings(outcome)


def _cells(image: ImageScore, outcome: Outcome) -> tuple[str, ...]:
    if outcome == BINARY:
        return (_number(image.probability),)
    return probability_cells(outcome, image.scores)


def beside_a_table(prediction: Prediction) -> list[str]:
    """What a table that is printed does not say: what is missing in it, and what it is worth."""
    return [*_missing(prediction), *filter(None, (prediction.caution, NOTICE))]


def _missing(prediction: Prediction) -> list[str]:
    lines = [shown(table) for table in prediction.tables]
    lines += [shown(f"refused   {item.path}: {item.reason}") for item in prediction.refused]
    if prediction.refused:
        total = len(prediction.refused) + len(prediction.images)
        lines.append(f"{len(prediction.refused)} of {total} files refused.")
    return [*lines, *(shown(f"no image  {row}") for row in prediction.rows_without_image)]


def _lines(prediction: Prediction) -> list[str]:
    lines = _missing(prediction)
    if not prediction.images:
        return lines
    point = prediction.point
    if prediction.caution:
        lines.append(prediction.caution)
    if prediction.outcome == BINARY:
        lines.append(f"Threshold {point.threshold:.3f} (operating point: {point.name}).")
        lines.append(_meaning(prediction))
    else:
        lines.append(classes_meaning(prediction.outcome))
    if all(image.distance is None for image in prediction.images):
        lines.append(
            "No distance: the model's BatchNorm statistics do not describe radiographs (it has "
            "none, they stay at the sites, or it began with random or ImageNet weights), so it "
            "cannot be judged whether these images are like those of the training."
        )
    if far := sum(is_unlike(image) is True for image in prediction.images):
        lines.append(
            f"{far} image(s) unlike the training images (distance over {UNLIKE}; noise has 1): "
            "out of distribution; interpret their scores with caution."
        )
    return [*lines, NOTICE]


def _meaning(prediction: Prediction) -> str:
    """What the two columns are worth as probabilities."""
    if prediction.recalibration is not None:
        return (
            "Calibrated: the chance among patients like the run's validation patients. Not "
            "valid at a different prevalence."
        )
    why = "that was fitted to other models' scores"
    if prediction.caution is None:
        why = "the run has no intercept and slope for it (recalibration in calibration.json)"
    return (
        f"Not calibrated: {why}. Training that draws both classes equally often leaves "
        "probabilities of a rare finding too high."
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
