"""A study's numbers as the page writes them."""

from __future__ import annotations

from server.report.html import Html, element, joined
from server.report.numbers import NOT_DEFINED
from server.terminal.decimals import Rounded
from shared.metrics.repeats import Spread


def spread(values: Spread | None, *, signed: bool = False) -> str:
    """The mean and, in brackets, the standard deviation over the repeats."""
    if values is None:
        return NOT_DEFINED
    return Rounded((values.mean,), lambda places: _spread(values, places, signed))


def with_interval(
    values: Spread, limits: tuple[float, float] | None, *, signed: bool = False
) -> str:
    """The same with an interval below it."""
    if limits is None:
        return spread(values, signed=signed)
    low, high = limits

    def write(places: int) -> Html:
        below = element("span", f"{low:.{places}f} to {high:.{places}f}", class_="ci")
        return joined(_spread(values, places, signed), " ", below)

    return Rounded((values.mean, low, high), write)


def _spread(values: Spread, places: int, signed: bool) -> str:
    sign = "+" if signed else ""
    mean = f"{values.mean:{sign}.{places}f}"
    deviation = values.standard_deviation
    return mean if deviation is None else f"{mean} ({deviation:.3f})"


def probability(value: float | None) -> str:
    """A p-value."""
    if value is None:
        return NOT_DEFINED
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
