"""Limits that both sides know; no library is needed to read them."""

from __future__ import annotations

MIN_CELL = 5
"""Patients of a class below which the coordinator shows no count of a site or of hidden sites."""


def shown_count(count: int) -> str:
    """The count in a sentence, unless it is a small one."""
    return str(count) if count >= MIN_CELL else f"fewer than {MIN_CELL}"
