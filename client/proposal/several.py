"""Three classes or more, from the values of an outcome."""

from __future__ import annotations

import re
from collections.abc import Sequence

from client.declared import normalised_value
from client.proposal.words import (
    GRADE_NAME,
    grade_of,
    grades_in,
    is_condition,
    meaning_of,
    plain,
)
from shared.errors import ConfigError
from shared.outcome.registry import LONGEST_NAME, outcome_of

_FEWEST = 3
LEVEL = re.compile(r"(?:[a-z]+ )?(\d{1,3})(?: 0+)?")
"""`2`, `2.0` and `Grade 2`, as `plain` writes them."""
_NOT_IN_NAMES = re.compile(r"[^\w .+-]+")


def several_classes(values: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The values of each class, by its name; empty where there are fewer than three.

    Words that say no more than yes or no are one class each. The order depends on the values alone,
    so that sites with the same ones have the same: without the finding, by grade or number, by
    name. Empty, too, for what cannot be an outcome: too many classes, names without letters.
    """
    groups: dict[str, list[str]] = {}
    for value in sorted(values, key=lambda one: (_place(one), one)):
        groups.setdefault(_meaning(value), []).append(value)
    if len(groups) < _FEWEST:
        return {}
    named = {class_name(_without_point(own[0])): tuple(own) for own in groups.values()}
    try:
        outcome_of("classes", tuple(named))
    except ConfigError:
        return {}
    return named if len(named) == len(groups) else {}


def are_graded(values: Sequence[str], column: str) -> bool:
    """Whether the classes of these values plainly go from low to high.

    They do by words such as mild and severe, and by numbers where a word beside them, or the name
    of the column, says that they are grades: numbers alone may be codes.
    """
    graded = bool(GRADE_NAME.search(plain(column)))
    for value in values:
        words = plain(value)
        numbered = LEVEL.fullmatch(words) is not None
        named = numbered and bool(GRADE_NAME.search(words))
        if numbered and not (named or graded):
            return False
        if not numbered and grade_of(value) is None and meaning_of(value, "") is not False:
            return False
    return True


def _meaning(value: str) -> str:
    """The same of values that mean the same."""
    words, said = plain(value), meaning_of(value, "")
    numbered = LEVEL.fullmatch(words) is not None
    if said is False and not numbered:
        return "no"
    if said is None or numbered or grade_of(value) is not None or is_condition(value):
        return f"= {words or value}"
    return "yes"


def _without_point(value: str) -> str:
    """`2` for `2.0`, as a statistics program writes it: at other sites the class is called 2."""
    number = normalised_value(value)
    return number if number.isdigit() else value


def _place(value: str) -> tuple[int, float, str]:
    words = plain(value)
    if (level := LEVEL.fullmatch(words)) is not None:
        return 0, int(level[1]), words
    if meaning_of(value, "") is False:
        return 0, 0, words
    grades = grades_in(value)  # moderate/severe stands between these two
    return 1, sum(grades) / len(grades) if grades else 0, words


def class_name(value: str) -> str:
    """The value as far as a class can be called so."""
    text = " ".join(_NOT_IN_NAMES.sub(" ", value).split())
    return text.lstrip(" .+-")[:LONGEST_NAME].rstrip()
