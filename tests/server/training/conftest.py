"""What is heard of a round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.run.events import Event, listening


@pytest.fixture(scope="session")
def heard_during() -> Callable[[Callable[[], Any]], tuple[Any, list[Event]]]:
    """What a piece of work returns, and the events meanwhile."""

    def listen(work: Callable[[], Any]) -> tuple[Any, list[Event]]:
        events: list[Event] = []
        with listening(events.append):
            return work(), events

    return listen
