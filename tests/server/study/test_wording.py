"""Numbers of a study's tables as text."""

from __future__ import annotations

import pytest

from server.study.wording import megabytes_text, p_text, spread_text
from server.terminal.decimals import interval_or_dash
from shared.metrics.repeats import Spread


def test_a_mean_has_its_deviation_where_there_is_more_than_one_repeat() -> None:
    assert spread_text(Spread(3, 0.80049, 0.0123)) == "0.800 (0.012)"
    assert spread_text(Spread(1, 0.5, None)) == "0.5"  # rounded before, so with the digits it has


def test_what_is_not_known_is_a_dash() -> None:
    assert (interval_or_dash(None), p_text(None)) == ("-", "-")
    assert interval_or_dash((-0.0124, 0.5134)) == "-0.012 to 0.513"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "< 0.001"), (0.00099, "< 0.001"), (0.001, "0.001"), (0.83, "0.83"), (1.0, "1.0")],
)
def test_a_small_p_value_is_not_written_as_zero(value: float, text: str) -> None:
    assert p_text(value) == text


@pytest.mark.parametrize(
    ("megabytes", "text"),
    [(0.0678, "0.068"), (1.53, "1.5"), (9.99, "10"), (10.4, "10"), (1234.5, "1,234")],
)
def test_a_small_transfer_is_not_written_as_zero(megabytes: float, text: str) -> None:
    assert megabytes_text(megabytes) == text
