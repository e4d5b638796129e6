"""Numbers in large digits, to be read across a room."""

from __future__ import annotations

HEIGHT = 5
_FONT = {
    "0": ("███", "█ █", "█ █", "█ █", "███"),
    "1": (" ██", "  █", "  █", "  █", "  █"),
    "2": ("███", "  █", "███", "█  ", "███"),
    "3": ("███", "  █", "███", "  █", "███"),
    "4": ("█ █", "█ █", "███", "  █", "  █"),
    "5": ("███", "█  ", "███", "  █", "███"),
    "6": ("███", "█  ", "███", "█ █", "███"),
    "7": ("███", "  █", "  █", "  █", "  █"),
    "8": ("███", "█ █", "███", "█ █", "███"),
    "9": ("███", "█ █", "███", "  █", "███"),
    ".": (" ", " ", " ", " ", "█"),
    ":": (" ", "█", " ", "█", " "),
    "/": ("  █", "  █", " █ ", "█  ", "█  "),
    "-": ("   ", "   ", "███", "   ", "   "),
    " ": ("  ", "  ", "  ", "  ", "  "),
}
"""Three columns a digit."""


def large(text: str, *, ascii_only: bool = False) -> str:
    """The text of digits, points, colons, slashes and dashes in five lines; KeyError for others."""
    lines = [" ".join(_FONT[character][row] for character in text) for row in range(HEIGHT)]
    drawn = "\n".join(lines)
    return drawn.replace("█", "#") if ascii_only else drawn
