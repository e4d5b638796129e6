"""A prediction as CSV, with a row a patient or a row an image."""

from __future__ import annotations

import csv
import io
from collections import defaultdict

from client.predict.scores import Prediction, is_unlike
from shared.plain import spreadsheet_cell

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
    writer = csv.DictWriter(text, PATIENT_COLUMNS, lineterminator="\n")
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
                "probability": patient.probability,
                "calibrated": patient.calibrated,
                "threshold": prediction.point.threshold,
                "positive": _word(patient.positive),
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
    writer = csv.DictWriter(text, IMAGE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    patients = {patient.person: patient for patient in prediction.patients}
    for image in prediction.images:
        patient = patients[image.person]
        writer.writerow(
            {
                "file": spreadsheet_cell(image.file),
                "site": spreadsheet_cell(image.site),
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


def _word(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"
