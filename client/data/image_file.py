"""An image file of a site and what is kept of it; imports no more than types take."""

from __future__ import annotations

from dataclasses import dataclass

from client.imaging.facts import ImageFacts


@dataclass(frozen=True)
class ImageContent:
    """What is kept of one content: facts and the SHA-256 of its pixels, or why there is none."""

    facts: ImageFacts | None = None
    fingerprint: str | None = None
    reason: str | None = None
    stored_at: float | None = None
    patient_id: str | None = None


@dataclass(frozen=True)
class ImageFile:
    """One file: its path relative to the images folder, its SHA-256 and its content."""

    relative: str
    digest: str
    content: ImageContent
