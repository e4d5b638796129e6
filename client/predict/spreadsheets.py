"""A prediction as CSV, with a row a patient or a row an image."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence

from client.predict.classes import predicted_names
from client.predict.scores import PatientScore, Prediction, is_unlike
from shared.outcome.binary import BINARY
from shared.plain import spreadsheet_cell
from shared.run.score_table import probability_columns

PATIENT_COLUMNS = (
    "site", "patient", "images", "probability", "calibrated", "threshold", "positive",
    "images_unlike_training", "notes", "files",
)  # fmt: skip
IMAGE_COLUMNS = (
    "file", "site", "patient", "probability", "distance", "unlike_training", "notes", "explanation",
    "patient_images", "patient_probability", "patient_calibrated", "threshold", "patient_positive",
    "refused",
)  # fmt: skip


def patients_csv(prediction: Prediction) -> str:
    """A row a patient, with the names of its images, separated by semicolons.

    Texts are safe in a spreadsheet (`spreadsheet_cell`); exact ones are in the JSON.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(PATIENT_COLUMNS, prediction), lineterminator="\n")
    writer.writeheader()
    images = defaultdict(list)
    for image in prediction.images:
        images[image.person].append(image)
    for patient in prediction.patients:
        own = images[patient.person]
        notes = dict.fromkeys(note for image in own for note in image.notes)
        unlike = [is_unlike(image) for image in own]
        writer.writerow(
            {
                "site": spreadsheet_cell(patient.site),
                "patient": spreadsheet_cell(patient.patient),
                "images": patient.images,
                **_of_patient(prediction, patient),
                "images_unlike_training": "" if None in unlike else sum(map(bool, unlike)),
                "notes": spreadsheet_cell("; ".join(notes)),
                "files": spreadsheet_cell("; ".join(str(image.file) for image in own)),
            }
        )
    return text.getvalue()


def images_csv(prediction: Prediction) -> str:
    """A row an image, its patient's values repeated; a refused one has its reason alone.

    Texts are safe in a spreadsheet (`spreadsheet_cell`); exact ones are in the JSON.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(IMAGE_COLUMNS, prediction), lineterminator="\n")
    writer.writeheader()
    patients = {patient.person: patient for patient in prediction.patients}
    for image in prediction.images:
        patient = patients[image.person]
        writer.writerow(
            {
                "file": spreadsheet_cell(image.file),
                "site": spreadsheet_cell(image.site),
                "patient": spreadsheet_cell(image.patient),
                **_probabilities(prediction, image.probability, image.scores),
                "distance": image.distance,
                "unlike_training": _word(is_unlike(image)),
                "notes": spreadsheet_cell("; ".join(image.notes)),
                "explanation": spreadsheet_cell(image.explanation or ""),
                "patient_images": patient.images,
                **_of_patient(prediction, patient, "patient_"),
            }
        )
    for item in prediction.refused:
        writer.writerow(
            {"file": spreadsheet_cell(item.path), "refused": spreadsheet_cell(item.reason)}
        )
    return text.getvalue()


def _columns(columns: Sequence[str], prediction: Prediction) -> list[str]:
    """The columns; of several classes or labels one for each in place of a finding's own."""
    if prediction.outcome == BINARY:
        return list(columns)
    found: list[str] = []
    for column in columns:
        prefix = "patient_" if column.startswith("patient_") else ""
        name = column.removeprefix(prefix)
        if name == "probability":
            found += [
                f"{prefix}{spreadsheet_cell(one)}"
                for one in probability_columns(prediction.outcome)
            ]
        elif name == "positive":
            found.append(f"{prefix}predicted")
        elif name not in ("calibrated", "threshold"):
            found.append(column)
    return found


def _probabilities(
    prediction: Prediction, probability: float, scores: Sequence[float], prefix: str = ""
) -> dict[str, object]:
    if prediction.outcome == BINARY:
        return {f"{prefix}probability": probability}
    names = probability_columns(prediction.outcome)
    return {
        f"{prefix}{spreadsheet_cell(name)}": value
        for name, value in zip(names, prediction.outcome.by_name(scores), strict=True)
    }


def _of_patient(
    prediction: Prediction, patient: PatientScore, prefix: str = ""
) -> dict[str, object]:
    probabilities = _probabilities(prediction, patient.probability, patient.scores, prefix)
    if prediction.outcome == BINARY:
        return {
            **probabilities,
            f"{prefix}calibrated": patient.calibrated,
            "threshold": prediction.point.threshold,
            f"{prefix}positive": _word(patient.positive),
        }
    said = predicted_names(prediction.outcome, patient.scores)
    return {**probabilities, f"{prefix}predicted": spreadsheet_cell("; ".join(said))}


def _word(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"
