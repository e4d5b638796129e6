"""What another machine says, as it may go to a terminal or a log."""

from __future__ import annotations


def one_line(text: str, limit: int) -> str:
    """The text with a blank for each character that cannot be printed, cut to `limit` characters.

    Terminals take such characters for commands; a line break would begin a line of its own.
    """
    return "".join(c if c.isprintable() else " " for c in text[:limit])
