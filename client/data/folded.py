"""Texts that differ in letter case, blanks and composed accents alone."""

from __future__ import annotations

import unicodedata


def folded(text: str) -> str:
    """Equal for texts that differ in letter case, kind of blank, and how accents are written.

    Accents are composed (NFC); signs without width are nothing.
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", as_seen(text)).casefold())


def as_seen(text: str) -> str:
    """Equal for texts that look the same: each blank as a space, no signs without width."""
    kinds = ((sign, unicodedata.category(sign)) for sign in text)
    return "".join(" " if kind == "Zs" else sign for sign, kind in kinds if kind != "Cf")
