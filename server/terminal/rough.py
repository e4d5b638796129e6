"""Times and sizes that are not known exactly, in words."""

from __future__ import annotations


def time_in_words(seconds: float) -> str:
    """A time that is not known exactly: about so many seconds, minutes or hours."""
    if seconds < 55:
        return f"{max(5, 5 * round(seconds / 5))} s"
    if seconds < 90 * 60:
        return f"{max(1, round(seconds / 60))} min"
    if seconds < 48 * 3600:
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours} h {minutes:02d} min" if hours < 10 else f"{round(seconds / 3600)} h"
    return f"{seconds / 86400:.1f} days"


def megabytes_in_words(size: float) -> str:
    """The bytes in megabytes, with two significant digits."""
    return f"{float(f'{size / 1e6:.2g}'):,.10g} MB"


def rounds_in_words(rounds: int) -> str:
    """A number of rounds: `1 round`, `30 rounds`."""
    return f"{rounds} round{'' if rounds == 1 else 's'}"
