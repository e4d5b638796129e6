"""Limits and choices that both sides know; no library is needed to read them."""

from __future__ import annotations

from enum import StrEnum


class ImageFit(StrEnum):
    """How a radiograph becomes square."""

    PAD = "pad"
    CROP = "crop"
    STRETCH = "stretch"


class ImageColour(StrEnum):
    """What is read of an image."""

    GREY = "grey"
    RGB = "rgb"

    @property
    def channels(self) -> int:
        """Values of a pixel."""
        return 1 if self is ImageColour.GREY else 3


MIN_CELL = 5
"""Patients of a class below which the coordinator shows no count of a site or of hidden sites."""
DAYS_KEPT = 30
"""How long a site keeps what it remembers of a run: its state since the last round of a run that
was given up, and its patients' scores since they were last asked for."""
