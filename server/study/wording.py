"""Numbers of a study's tables as text, with three decimals at most."""

from __future__ import annotations

from server.results.study import RoundsTaken
from server.terminal.decimals import Rounded, as_rounded
from shared.metrics.repeats import Spread


def spread_text(values: Spread) -> str:
    """The mean and, in brackets, the standard deviation over the repeats."""
    deviation = values.standard_deviation
    more = "" if deviation is None else f" ({as_rounded(deviation)})"
    return Rounded((values.mean,), lambda places: f"{values.mean:.{places}f}{more}")


def rounds_text(taken: RoundsTaken | None) -> str:
    """The rounds of a run; where runs differ their mean and range, and a dash where unknown."""
    if taken is None:
        return "-"
    if taken.fewest == taken.most:
        return str(taken.most)
    return f"{taken.mean:.1f} ({taken.fewest} to {taken.most})"


def megabytes_text(megabytes: float) -> str:
    """Whole megabytes, with two digits where there are few: 0.068, not 0."""
    return f"{megabytes:,.0f}" if megabytes >= 10 else f"{megabytes:.2g}"


def p_text(value: float | None) -> str:
    """A p-value; a dash where there is none."""
    return "-" if value is None else "< 0.001" if value < 0.001 else as_rounded(value)
