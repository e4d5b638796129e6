"""Tensors worked on several at a time."""

from __future__ import annotations

import threading

import pytest

from shared.wire import parallel
from shared.wire.parallel import FEW_VALUES, map_tensors

MANY = FEW_VALUES + 1


@pytest.mark.parametrize("values", [50, MANY])
def test_results_come_in_the_order_of_the_items(values: int) -> None:
    assert map_tensors(str, range(50), values) == [str(number) for number in range(50)]
    assert map_tensors(str, [], values) == []


def test_several_are_worked_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits for the other, so one after the other would never end."""
    monkeypatch.setattr(parallel, "THREADS", 2)
    both = threading.Barrier(2, timeout=60)
    assert sorted(map_tensors(lambda _: both.wait(), range(2), MANY)) == [0, 1]


def test_few_values_are_worked_on_by_the_caller() -> None:
    here = threading.get_ident()
    assert set(map_tensors(lambda _: threading.get_ident(), range(9), FEW_VALUES)) == {here}


@pytest.mark.parametrize("values", [10, MANY])
def test_the_first_failure_is_raised(values: int) -> None:
    def work(number: int) -> int:
        if number in (3, 7):
            raise ValueError(f"number {number}")
        return number

    with pytest.raises(ValueError, match="number 3"):
        map_tensors(work, range(10), values)
