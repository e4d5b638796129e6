"""How many decimals a number is written with: as many as it was rounded to, alike in a column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

FEWEST, MOST = 2, 3


class Rounded(str):
    """A cell of one number or several; `aligned` gives it the decimals of its column.

    Alone it has those that its own numbers need. `write` makes its text with so many.
    """

    places: int
    write: Callable[[int], str]

    def __new__(
        cls, values: Iterable[float], write: Callable[[int], str], most: int = MOST
    ) -> Rounded:
        """Of numbers that have `most` decimals at most."""
        places = max((_places_of(value, most) for value in values), default=FEWEST)
        cell = super().__new__(cls, write(places))
        cell.places, cell.write = places, write
        return cell


def as_rounded(value: float, most: int = MOST, *, signed: bool = False) -> Rounded:
    """A number with at most so many decimals, and no zeros where it was rounded to fewer."""
    sign = "+" if signed else ""
    return Rounded((value,), lambda places: f"{value:{sign}.{places}f}", most)


def interval_as_rounded(limits: Sequence[float]) -> Rounded:
    """`low to high`, both with the same decimals."""
    low, high = limits
    return Rounded(limits, lambda places: f"{low:.{places}f} to {high:.{places}f}")


def aligned(rows: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """The rows of a table, with as many decimals in all rounded cells of a column."""
    return list(zip(*map(_column, zip(*rows, strict=True)), strict=True))


def _column(cells: Sequence[str]) -> list[str]:
    places = max((cell.places for cell in cells if isinstance(cell, Rounded)), default=FEWEST)
    return [cell.write(places) if isinstance(cell, Rounded) else cell for cell in cells]


def _places_of(value: float, most: int) -> int:
    """The fewest decimals that keep the value, `most` where none does."""
    return next((n for n in range(FEWEST, most) if float(f"{value:.{n}f}") == value), most)
