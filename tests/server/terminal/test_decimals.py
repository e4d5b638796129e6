"""Numbers of a column have as many decimals as the one that needs most."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.terminal.decimals import Rounded, aligned, as_rounded, interval_as_rounded

NUMBERS = st.floats(-2, 2, allow_nan=False)


def test_alone_a_number_has_the_decimals_that_it_was_rounded_to() -> None:
    assert [as_rounded(value) for value in (0.5, 0.75, 0.333, 0.87049, 1)] == [
        "0.5", "0.75", "0.333", "0.870", "1.0",
    ]  # fmt: skip
    assert as_rounded(0.6931, 4) == "0.6931"
    assert as_rounded(0.25, signed=True) == "+0.25"
    assert interval_as_rounded((0.5, 0.123)) == "0.500 to 0.123"


def test_a_column_of_exact_numbers_has_one_number_of_decimals() -> None:
    rows = [
        ("all", as_rounded(0.75), interval_as_rounded((0.5, 1 / 7)), as_rounded(0.5)),
        ("north", as_rounded(1 / 3), interval_as_rounded((0.5, 0.8)), "-"),
    ]
    assert aligned(rows) == [
        ("all", "0.750", "0.500 to 0.143", "0.5"), ("north", "0.333", "0.500 to 0.800", "-"),
    ]  # fmt: skip
    assert aligned([]) == []


def test_numbers_that_were_rounded_keep_their_own() -> None:
    """A small site is shown with fewer digits than all together; zeros would be digits."""
    rows = [
        ("all", as_rounded(0.8237), interval_as_rounded((0.79, 0.853))),
        ("north", as_rounded(0.8), interval_as_rounded((0.6, 0.9))),
    ]
    assert aligned(rows) == [
        ("all", "0.824", "0.790 to 0.853"), ("north", "0.8", "0.6 to 0.9"),
    ]  # fmt: skip


@given(st.lists(st.tuples(NUMBERS, st.integers(1, 5)), min_size=1, max_size=6))
def test_what_was_rounded_gets_no_digit_more(numbers: list[tuple[float, int]]) -> None:
    column = [(as_rounded(round(value, places), 6),) for value, places in numbers]
    for (cell,), (value, places) in zip(aligned(column), numbers, strict=True):
        assert float(cell) == round(value, places)
        assert len(cell.partition(".")[2]) <= places


@given(st.lists(NUMBERS, min_size=1, max_size=6), st.integers(3, 5))
def test_no_number_loses_more_than_the_last_decimal(values: list[float], most: int) -> None:
    exact = any(round(value, 9) != value for value in values)
    column = [cell for (cell,) in aligned([(as_rounded(value, most),) for value in values])]
    assert not exact or {len(cell.partition(".")[2]) for cell in column} == {most}
    for cell, value in zip(column, values, strict=True):
        assert abs(float(cell) - value) <= 0.5 * 10**-most * (1 + 1e-6)
        assert not isinstance(cell, Rounded)
