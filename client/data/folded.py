"""Texts that differ in letter case and in composed accents alone."""

from __future__ import annotations

import unicodedata


def folded(text: str) -> str:
    """Equal for texts that differ in letter case and in how accents are written (NFC, NFD)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
