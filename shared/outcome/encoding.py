"""Which outcome in a site's table means which class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.outcome.labels import ABSENT, MISSING, PRESENT, LabelsOutcome
from shared.outcome.outcome import Outcome


@dataclass(frozen=True)
class Encoding:
    """An outcome of one column, with the values that mean each of its classes.

    `values` has a tuple for each of `outcome.classes`, in their order; no value stands in two.
    """

    outcome: Outcome
    values: tuple[tuple[str, ...], ...]

    @property
    def known(self) -> frozenset[str]:
        """All values that mean a class."""
        return frozenset(value for own in self.values for value in own)

    def label_of(self, value: str) -> int | None:
        """The label of a value, None where it means no class."""
        for one, own in zip(self.outcome.classes, self.values, strict=True):
            if value in own:
                return one.label
        return None

    def label_of_row(self, cells: Sequence[str]) -> int | None:
        """`label_of` for a row's only cell."""
        return self.label_of(cells[0])

    def unknown(self, cells: Sequence[str]) -> tuple[str, ...]:
        """The values of a row that are there and mean no class."""
        return tuple(cell for cell in cells if cell and self.label_of(cell) is None)


@dataclass(frozen=True)
class LabelColumn:
    """A label's column, with the values that mean that it is present or absent."""

    column: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]

    def digit(self, value: str) -> int:
        """PRESENT, ABSENT, or MISSING for any other value."""
        return PRESENT if value in self.positive else ABSENT if value in self.negative else MISSING


@dataclass(frozen=True)
class LabelsEncoding:
    """An outcome of several labels, with the column of each, in their order."""

    outcome: LabelsOutcome
    columns: tuple[LabelColumn, ...]

    @property
    def known(self) -> frozenset[str]:
        """All values that say something of a label."""
        return frozenset(v for one in self.columns for v in (*one.positive, *one.negative))

    def label_of_row(self, cells: Sequence[str]) -> int | None:
        """The label of a row with a cell for each column; None where nothing of it is known."""
        pairs = zip(self.columns, cells, strict=True)
        return self.outcome.label_of([one.digit(cell) for one, cell in pairs]) or None

    def unknown(self, cells: Sequence[str]) -> tuple[str, ...]:
        """The values of a row that are there and say nothing of their label, and its name."""
        named = zip(self.outcome.names, self.columns, cells, strict=True)
        return tuple(
            f"{name} {cell}" for name, one, cell in named if cell and one.digit(cell) == MISSING
        )


AnyEncoding = Encoding | LabelsEncoding
