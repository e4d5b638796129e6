"""A study's numbers as the page writes them."""

from __future__ import annotations

from server.report.html import Html, element, joined
from server.report.numbers import NOT_DEFINED, metric_interval
from shared.metrics.repeats import Spread


def spread(values: Spread | None, signed: bool = False) -> str:
    """The mean and, in brackets, the standard deviation over the repeats."""
    if values is None:
        return NOT_DEFINED
    mean = f"{values.mean:+.3f}" if signed else f"{values.mean:.3f}"
    deviation = values.standard_deviation
    return mean if deviation is None else f"{mean} ({deviation:.3f})"


def with_interval(values: Spread, limits: tuple[float, float] | None, signed: bool = False) -> Html:
    """The same with an interval below it."""
    below = element("span", metric_interval(limits), class_="ci") if limits is not None else None
    return joined(spread(values, signed), " ", below)


def probability(value: float | None) -> str:
    """A p-value."""
    if value is None:
        return NOT_DEFINED
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
