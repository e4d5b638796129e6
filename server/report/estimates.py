"""A value with its interval, as a cell of a table."""

from __future__ import annotations

from server.report.html import Html, element, joined
from server.report.numbers import NOT_DEFINED, metric
from server.terminal.decimals import Rounded

Interval = tuple[float, float]


def with_interval(value: float | None, limits: Interval | None) -> str:
    """The value, and its interval in brackets where it has one."""
    if value is None:
        return NOT_DEFINED
    if limits is None:
        return metric(value)
    low, high = limits

    def write(places: int) -> Html:
        ends = element("span", f"({low:.{places}f} to {high:.{places}f})", class_="ci")
        return joined(f"{value:.{places}f}", " ", ends)

    return Rounded((value, low, high), write)
