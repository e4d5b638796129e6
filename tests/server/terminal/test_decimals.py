"""Numbers of a column have as many decimals as the one that needs most."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.terminal.decimals import Rounded, aligned, as_rounded, interval_as_rounded

NUMBERS = st.floats(-2, 2, allow_nan=False)


def test_alone_a_number_has_the_decimals_that_it_was_rounded_to() -> None:
    assert [as_rounded(value) for value in (0.5, 0.75, 0.333, 0.87049)] == [
        "0.50", "0.75", "0.333", "0.870",
    ]  # fmt: skip
    assert as_rounded(0.6931, 4) == "0.6931"
    assert as_rounded(0.25, signed=True) == "+0.25"
    assert interval_as_rounded((0.5, 0.123)) == "0.500 to 0.123"


def test_a_column_has_those_of_the_number_that_needs_most() -> None:
    rows = [
        ("all", as_rounded(0.75), interval_as_rounded((0.5, 0.9)), as_rounded(0.5)),
        ("north", as_rounded(1 / 3), interval_as_rounded((0.5, 0.8)), "-"),
    ]
    assert aligned(rows) == [
        ("all", "0.750", "0.50 to 0.90", "0.50"), ("north", "0.333", "0.50 to 0.80", "-"),
    ]  # fmt: skip
    assert aligned([]) == []


@given(st.lists(NUMBERS, min_size=1, max_size=6), st.integers(3, 5))
def test_no_number_loses_more_than_the_last_decimal(values: list[float], most: int) -> None:
    column = [cell for (cell,) in aligned([(as_rounded(value, most),) for value in values])]
    assert len({len(cell.partition(".")[2]) for cell in column}) == 1
    for cell, value in zip(column, values, strict=True):
        assert abs(float(cell) - value) <= 0.5 * 10**-most * (1 + 1e-6)
        assert not isinstance(cell, Rounded)
