"""Outcomes as settings write them: `binary`, `classes: a | b`, `ordinal: ...`, `labels: ...`."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence

from shared.errors import ConfigError
from shared.outcome.binary import BINARY
from shared.outcome.classes import ClassesOutcome
from shared.outcome.labels import LabelsOutcome
from shared.outcome.ordinal import OrdinalOutcome
from shared.outcome.outcome import Outcome

MOST_CLASSES, MOST_LABELS = 20, 32
"""So many that the counts of a site stay small, and that a patient's labels fit in one integer."""
LONGEST_NAME = 40
LONGEST_OUTCOME = len("classes: ") + MOST_LABELS * (LONGEST_NAME + len(" | "))
"""Characters of an outcome as settings have it."""
_KINDS = {one.kind: one for one in (ClassesOutcome, OrdinalOutcome, LabelsOutcome)}
_NAME = re.compile(r"\w(?:[\w .+-]{0,38}[\w.+-])?")
NAME_RULE = (
    "1 to 40 letters, digits, blanks, '_', '-', '+' and '.', beginning with one of the first"
)
_EXAMPLE = "binary, or such as `classes: none | mild | severe`, `ordinal: ...` or `labels: ...`"


@functools.lru_cache(maxsize=64)
def parse_outcome(text: str) -> Outcome:
    """The outcome that a setting names; ConfigError where it is none."""
    kind, colon, names = text.partition(":")
    if text.strip() == BINARY.kind:
        return BINARY
    if kind.strip() not in _KINDS or not colon:
        raise ConfigError(f"outcome is '{text}'; it must be {_EXAMPLE}.")
    return outcome_of(kind.strip(), [name.strip() for name in names.split("|")])


def outcome_of(kind: str, names: Sequence[str]) -> Outcome:
    """The outcome of this kind, not binary, with these names; ConfigError for what it cannot be.

    Accents are composed (NFC): names of a Mac's folders have them apart, and mean the same class.
    """
    names = [unicodedata.normalize("NFC", name) for name in names]
    labels = kind == LabelsOutcome.kind
    what = "labels" if labels else "classes"
    least, most = (1, MOST_LABELS) if labels else (2, MOST_CLASSES)
    if not least <= len(names) <= most:
        raise ConfigError(
            f"An outcome has {least} to {most} {what}; here are {len(names)} ({' | '.join(names)})."
        )
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"'{name}' cannot be one of the outcome's {what}; use {NAME_RULE}.")
    folded = [name.casefold() for name in names]
    if twice := [name for name in names if folded.count(name.casefold()) > 1]:
        raise ConfigError(
            f"The outcome's {what} {' and '.join(map(repr, twice))} have the same name; give each "
            "one of its own (case does not matter)."
        )
    return _KINDS[kind](tuple(names))
