"""What the person who reads a score should know of the image."""

from __future__ import annotations

from client.data.findings import CHEST, FRONTAL_VIEWS, RADIOGRAPHY
from client.imaging.facts import ImageFacts
from client.imaging.patient_id import has_lost_letters
from shared.plain import shown


def notes_on(facts: ImageFacts) -> tuple[str, ...]:
    """Phrases on what admission only warns of; such an image is scored."""
    notes = []
    if facts.burned_in_annotation == "YES":
        notes.append("annotation is burned in")
    for name, value, usual in (
        ("view", facts.view, FRONTAL_VIEWS),
        ("modality", facts.modality, RADIOGRAPHY),
        ("body part", facts.body_part, CHEST),
    ):
        if value is not None and value.upper() not in usual:
            notes.append(f"{name} {value}")
    if facts.presentation_intent == "FOR PROCESSING":
        notes.append("for processing, not for presentation")
    if has_lost_letters(facts.patient_id):
        notes.append("letters of its Patient ID are lost, so it stands for a patient of its own")
    return tuple(map(shown, notes))
