"""A prediction as a table on a terminal, as JSON, and as CSV with a row an image."""

from __future__ import annotations

import csv
import io
import os
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.predict.distance import UNLIKE
from client.predict.files import printable
from client.predict.scores import ImageScore, PatientScore, Prediction
from shared.plain import shown, spreadsheet_cell
from shared.run.finished import NOTICE

COLUMNS = (
    "file", "patient", "probability", "distance", "unlike_training", "notes", "explanation",
    "patient_images", "patient_probability", "patient_calibrated", "threshold", "patient_positive",
    "refused",
)  # fmt: skip


def is_unlike(image: ImageScore) -> bool | None:
    """Whether the image is farther from the training images than `UNLIKE`; None where unknown."""
    return None if image.distance is None else image.distance > UNLIKE


def to_json(prediction: Prediction) -> dict[str, Any]:
    """Everything, for programs. It names patients."""
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
                "patient": patient.person[1],
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
                "patient": image.patient,
                "probability": image.probability,
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
    }


def _recalibration(fit: tuple[float, float] | None) -> dict[str, float] | None:
    return None if fit is None else dict(zip(("intercept", "slope"), fit, strict=True))


def to_csv(prediction: Prediction) -> str:
    """A row an image, its patient's values repeated; a refused one has its reason alone.

    Texts are safe in a spreadsheet (`spreadsheet_cell`); exact ones are in the JSON.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    patients = {patient.person: patient for patient in prediction.patients}
    for image in prediction.images:
        patient = patients[image.person]
        writer.writerow(
            {
                "file": spreadsheet_cell(image.file),
                "patient": spreadsheet_cell(image.patient),
                "probability": image.probability,
                "distance": image.distance,
                "unlike_training": _word(is_unlike(image)),
                "notes": spreadsheet_cell("; ".join(image.notes)),
                "explanation": spreadsheet_cell(image.explanation or ""),
                "patient_images": patient.images,
                "patient_probability": patient.probability,
                "patient_calibrated": patient.calibrated,
                "threshold": prediction.point.threshold,
                "patient_positive": _word(patient.positive),
            }
        )
    for item in prediction.refused:
        writer.writerow(
            {"file": spreadsheet_cell(item.path), "refused": spreadsheet_cell(item.reason)}
        )
    return text.getvalue()


def print_prediction(prediction: Prediction) -> None:
    """Patients, images, what was refused, and what the figures are worth."""
    console = Console()
    if prediction.images:
        console.print(_patients(prediction.patients))
        console.print(_images(prediction.images))
    for line in _lines(prediction):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _patients(patients: tuple[PatientScore, ...]) -> Table:
    table = Table(title="Patients")
    table.add_column("patient", overflow="fold")
    for column in ("images", "probability", "calibrated"):
        table.add_column(column, justify="right")
    table.add_column("at the threshold")
    for patient in patients:
        table.add_row(
            Text(shown(patient.person[1])),
            str(patient.images),
            _number(patient.probability),
            _number(patient.calibrated),
            "positive" if patient.positive else "negative",
        )
    return table


def _images(images: tuple[ImageScore, ...]) -> Table:
    folder = os.path.commonpath([image.file.absolute().parent for image in images])
    table = Table(title=Text(f"Images in {shown(folder)}"))
    table.add_column("file", overflow="fold")
    for column in ("probability", "distance"):
        table.add_column(column, justify="right")
    table.add_column("notes", overflow="fold")
    for image in images:
        unlike = ("unlike the training images",) if is_unlike(image) else ()
        table.add_row(
            Text(shown(os.path.relpath(image.file.absolute(), folder))),
            _number(image.probability),
            _number(image.distance),
            Text(shown("; ".join((*unlike, *image.notes)))),
        )
    return table


def _lines(prediction: Prediction) -> list[str]:
    lines = [shown(f"refused  {item.path}: {item.reason}") for item in prediction.refused]
    if prediction.refused:
        total = len(prediction.refused) + len(prediction.images)
        lines.append(f"{len(prediction.refused)} of {total} files refused.")
    if not prediction.images:
        return lines
    point = prediction.point
    if prediction.caution:
        lines.append(prediction.caution)
    lines.append(f"Threshold {point.threshold:.3f} (operating point: {point.name}).")
    lines.append(_meaning(prediction))
    if all(image.distance is None for image in prediction.images):
        lines.append(
            "No distance: the model's BatchNorm statistics do not describe the training images "
            "(after too few steps from random or ImageNet weights, or with batch-norm other than "
            "average), so it cannot be judged whether these images are like them."
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


def _word(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
