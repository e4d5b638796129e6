"""Which outcome in a site's table means which class."""

from __future__ import annotations

from dataclasses import dataclass

from shared.outcome.outcome import Outcome


@dataclass(frozen=True)
class Encoding:
    """An outcome with the values of a site's table that mean each of its classes.

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
