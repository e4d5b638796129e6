"""What is said of an image that is scored nevertheless."""

from __future__ import annotations

from typing import Any

import pytest

from client.imaging.facts import ImageFacts
from client.imaging.remarks import NEARLY_BLACK
from client.predict.scores import notes_on


@pytest.mark.parametrize(
    ("facts", "notes"),
    [
        ({}, ()),
        ({"view": "PA", "modality": "DX", "body_part": "Chest"}, ()),
        ({"burned_in_annotation": "NO", "presentation_intent": "FOR PRESENTATION"}, ()),
        ({"burned_in_annotation": "YES"}, ("annotation is burned in",)),
        ({"view": "LL", "modality": "CT", "body_part": "KNEE"},
         ("view LL", "modality CT", "body part KNEE")),
        ({"presentation_intent": "FOR PROCESSING"}, ("for processing, not for presentation",)),
        ({"view": "LL", "remarks": (NEARLY_BLACK,)}, ("view LL", NEARLY_BLACK)),
    ],
)  # fmt: skip
def test_notes(facts: dict[str, Any], notes: tuple[str, ...]) -> None:
    assert notes_on(ImageFacts("DICOM", "MONOCHROME2", 12, 64, 64, **facts)) == notes
