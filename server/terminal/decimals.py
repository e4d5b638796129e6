"""How many decimals a number is written with: as many as it was rounded to, else alike in a column.

A number that was rounded to show less, as results for others are, has its own decimals, and no
zeros behind them, which would promise digits that it does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

FEWEST, MOST = 1, 3
_EXACT = 9
"""Decimals that nothing is rounded to: it would take a billion patients."""


class Rounded(str):
    """A cell of one number or several; `aligned` rewrites it in a column of exact numbers.

    Alone it has the decimals that its own numbers need. `write` makes its text with so many.
    """

    places: int
    exact: bool
    """Whether one of its numbers was not rounded."""
    write: Callable[[int], str]

    def __new__(
        cls, values: Iterable[float], write: Callable[[int], str], most: int = MOST
    ) -> Rounded:
        """Of numbers that are shown with `most` decimals at most."""
        values = tuple(values)
        places = max((_places_of(value, most) for value in values), default=FEWEST)
        cell = super().__new__(cls, write(places))
        cell.places, cell.write = places, write
        cell.exact = not all(map(_was_rounded, values))
        return cell


def as_rounded(value: float, most: int = MOST, *, signed: bool = False) -> Rounded:
    """A number with at most so many decimals, and no zeros where it was rounded to fewer."""
    sign = "+" if signed else ""
    return Rounded((value,), lambda places: f"{value:{sign}.{places}f}", most)


def interval_as_rounded(limits: Sequence[float]) -> Rounded:
    """`low to high`, both with the same decimals."""
    low, high = limits
    return Rounded(limits, lambda places: f"{low:.{places}f} to {high:.{places}f}")


def number_or_dash(value: float | None) -> str:
    """A number as it was rounded, with three decimals at most; a dash where there is none."""
    return "-" if value is None else as_rounded(value)


def interval_or_dash(limits: Sequence[float] | None) -> str:
    """`low to high`; a dash where there is no interval."""
    return "-" if limits is None else interval_as_rounded(limits)


def patients_by_label(known: Iterable[int]) -> str:
    """Of the patients of whom each label is known: their number, or the fewest and the most."""
    numbers = [*known] or [0]
    fewest, most = min(numbers), max(numbers)
    return f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"


def aligned(rows: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """The rows of a table; the cells of a column with exact numbers have as many decimals."""
    return list(zip(*map(_column, zip(*rows, strict=True)), strict=True))


def _column(cells: Sequence[str]) -> list[str]:
    numbers = [cell for cell in cells if isinstance(cell, Rounded)]
    alike = any(cell.exact for cell in numbers)
    most = max((cell.places for cell in numbers), default=FEWEST)
    return [
        cell.write(most if alike else cell.places) if isinstance(cell, Rounded) else cell
        for cell in cells
    ]


def _was_rounded(value: float) -> bool:
    return round(value, _EXACT) == value


def _places_of(value: float, most: int) -> int:
    """The fewest decimals that keep the value, `most` where none does."""
    fewer = range(FEWEST, most) if _was_rounded(value) else ()
    return next((n for n in fewer if round(value, n) == value), most)
