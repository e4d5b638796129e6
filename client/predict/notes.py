"""What the person who reads a score should know of the image."""

from __future__ import annotations

from client.data.listing import doubts_of
from client.imaging.facts import ImageFacts
from client.imaging.patient_id import has_lost_letters
from shared.plain import shown


def notes_on(facts: ImageFacts) -> tuple[str, ...]:
    """Phrases on what admission only warns of; such an image is scored."""
    notes = [*doubts_of(facts), *facts.remarks]
    if has_lost_letters(facts.patient_id):
        notes.append("letters of its Patient ID are lost, so it stands for a patient of its own")
    return tuple(map(shown, notes))
