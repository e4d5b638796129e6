"""What the person who reads a score should know of the image."""

from __future__ import annotations

from client.data.findings import CHEST, FRONTAL_VIEWS, RADIOGRAPHY
from client.imaging.facts import ImageFacts


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
    return (*notes, *facts.remarks)
