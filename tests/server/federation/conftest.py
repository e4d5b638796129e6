"""Time for tests of waiting."""

from __future__ import annotations

from collections.abc import Callable

import pytest


class Clock:
    """Every sleep takes the time it is to take, at once; `at` is called after each."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at: Callable[[float], None] = lambda now: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.at(self.now)


@pytest.fixture
def put_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Clock]:
    """Put one clock in the place of `time` in these modules."""

    def put(*modules: str) -> Clock:
        clock = Clock()
        for module in modules:
            monkeypatch.setattr(f"{module}.time", clock)
        return clock

    return put
