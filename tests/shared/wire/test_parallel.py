"""Tensors worked on several at a time."""

from __future__ import annotations

import threading

import pytest

from shared.wire import parallel
from shared.wire.parallel import map_tensors


def test_results_come_in_the_order_of_the_items() -> None:
    assert map_tensors(str, range(50)) == [str(number) for number in range(50)]
    assert map_tensors(str, []) == []


def test_several_are_worked_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits for the other, so one after the other would never end."""
    monkeypatch.setattr(parallel, "THREADS", 2)
    both = threading.Barrier(2, timeout=60)
    assert sorted(map_tensors(lambda _: both.wait(), range(2))) == [0, 1]


def test_the_first_failure_is_raised() -> None:
    def work(number: int) -> int:
        if number in (3, 7):
            raise ValueError(f"number {number}")
        return number

    with pytest.raises(ValueError, match="number 3"):
        map_tensors(work, range(10))
