"""Patients by what a column says of them."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shared.errors import ConfigError
from shared.run.patient_scores import PatientScore

NOT_STATED, SEVERAL, NOT_A_NUMBER = "not stated", "several", "not a number"
MOST_GROUPS = 20
_LAST = (SEVERAL, NOT_A_NUMBER, NOT_STATED)
_MISSING = frozenset({"", "nan", "null", "none", "n/a", "na", "<na>", "nat"})
_WHOLE = re.compile(r"^([+-]?\d+)\.0+$")


@dataclass(frozen=True)
class Column:
    """A column to divide patients by; `edges`, ascending, cut numbers into intervals."""

    name: str
    edges: tuple[float, ...] = ()

    @property
    def intervals(self) -> tuple[str, ...]:
        """The groups that the edges make, each closed below; none without edges."""
        if not self.edges:
            return ()
        inner = (f"{low:g} to below {high:g}" for low, high in pairwise(self.edges))
        return (f"below {self.edges[0]:g}", *inner, f"{self.edges[-1]:g} or more")

    def group_of_value(self, value: str, spellings: Mapping[str, str]) -> str:
        """What a value, folded, belongs to: its interval, or the usual way to write it."""
        if value in _MISSING:
            return NOT_STATED
        if not self.edges:
            return spellings[value]
        number = _number(value)
        if number is None:
            return NOT_A_NUMBER
        return self.intervals[sum(number >= edge for edge in self.edges)]


def assign(column: Column, patients: Sequence[PatientScore]) -> list[str]:
    """The group of each patient, in their order.

    Values that differ in blanks around them, in letter case, or as 1 and 1.0 do are one. A patient
    of whose images the column says different things is in `SEVERAL`.
    """
    said = [patient.values.get(column.name, ()) for patient in patients]
    spellings = _spellings(said)
    groups = [{column.group_of_value(_folded(text), spellings) for text in own} for own in said]
    return [SEVERAL if len(own) > 1 else next(iter(own), NOT_STATED) for own in groups]


def divide(column: Column, patients: Sequence[PatientScore]) -> dict[str, list[PatientScore]]:
    """The patients of each group, groups in order; those of no patient are not there."""
    groups: dict[str, list[PatientScore]] = defaultdict(list)
    for patient, group in zip(patients, assign(column, patients), strict=True):
        groups[group].append(patient)
    return dict(sorted(groups.items(), key=lambda item: _place(column, item[0])))


def require_few_groups(column: Column, values: Iterable[str]) -> None:
    """ConfigError where the values make more groups than `MOST_GROUPS`, which nobody could read."""
    said = [(value,) for value in values]
    spellings = _spellings(said)
    groups = {column.group_of_value(_folded(text), spellings) for (text,) in said}
    if len(groups) > MOST_GROUPS:
        raise ConfigError(
            f"--by {column.name} makes {len(groups)} groups; at most {MOST_GROUPS} are reported. "
            f"If the column has numbers, give edges, such as --by {column.name}:1,5,10."
        )


def parse_columns(given: Sequence[str]) -> tuple[Column, ...]:
    """`sex`, or `age:1,5,10` with edges; ConfigError for edges that do not ascend, or a repeat."""
    columns = tuple(map(_parsed, given))
    names = [column.name for column in columns]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--by {name} is given twice; name each column once.")
    return columns


def _parsed(text: str) -> Column:
    before, colon, after = text.rpartition(":")
    name, numbers = (before, [_number(edge) for edge in after.split(",")]) if colon else (after, [])
    edges = tuple(edge for edge in numbers if edge is not None)
    if len(edges) < len(numbers):
        raise ConfigError(
            f"--by {text}: what follows the colon must be numbers, such as --by age:1,5,10."
        )
    if any(low >= high for low, high in pairwise(edges)):
        raise ConfigError(f"--by {text}: the edges must ascend, such as --by age:1,5,10.")
    if not name.strip():
        raise ConfigError(f"--by {text!r} names no column, such as --by sex.")
    return Column(name.strip(), edges)


def _spellings(said: Sequence[Sequence[str]]) -> dict[str, str]:
    """The commonest way to write each value, by its folded form."""
    ways: dict[str, Counter[str]] = defaultdict(Counter)
    for own in said:
        for text in own:
            ways[_folded(text)][text.strip()] += 1
    return {
        value: min(counted, key=lambda way: (-counted[way], way)) for value, counted in ways.items()
    }


def _place(column: Column, group: str) -> tuple[int, float, str]:
    """Intervals and numbers ascend, texts follow in their order, and last those without a value."""
    if group in _LAST:
        return 3, _LAST.index(group), group
    if column.edges:
        return 0, column.intervals.index(group), group
    number = _number(group)
    return (2, 0, group.casefold()) if number is None else (1, number, group)


def _folded(text: str) -> str:
    return _WHOLE.sub(r"\1", text.strip().casefold())


def _number(text: str) -> float | None:
    try:
        number = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
