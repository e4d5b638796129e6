"""What a check of a site has found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One check: `ok`, a `note` that keeps nothing from working, `waiting`, or `wrong`.

    What waits for its owner's decision is no fault: all works, and a run waits as well.
    """

    what: str
    state: Literal["ok", "note", "waiting", "wrong"]
    found: str
    remedy: str = ""
    """What to do; empty where there is nothing to do."""


def right(what: str, found: str) -> Finding:
    """Nothing is to be done."""
    return Finding(what, "ok", found)


def note(what: str, found: str, remedy: str = "") -> Finding:
    """Worth knowing; the site works."""
    return Finding(what, "note", found, remedy)


def waiting(what: str, found: str, remedy: str) -> Finding:
    """The site works, and its owner is asked for a decision."""
    return Finding(what, "waiting", found, remedy)


def wrong(what: str, found: str, remedy: str) -> Finding:
    """The site does not work like this."""
    return Finding(what, "wrong", found, remedy)
