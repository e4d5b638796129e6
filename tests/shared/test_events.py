"""Who listens hears everything, in order; who does not costs nothing."""

from __future__ import annotations

import pytest

from shared.events import Event, StepDone, Warned, emit, has_listeners, listening


def test_an_event_without_listeners_does_nothing() -> None:
    assert not has_listeners()
    emit(StepDone("north"))
    heard: list[Event] = []
    with listening(heard.append):
        pass
    assert heard == []


def test_all_listeners_hear_all_events_in_order() -> None:
    first: list[Event] = []
    second: list[Event] = []
    with listening(first.append):
        emit(Warned("one"))
        with listening(second.append):
            assert has_listeners()
            emit(Warned("two"))
        emit(Warned("three"))
    emit(Warned("four"))
    assert first == [Warned("one"), Warned("two"), Warned("three")]
    assert second == [Warned("two")]


def test_a_listener_leaves_with_its_block_however_that_ends() -> None:
    def work() -> None:
        with listening(lambda event: None):
            raise RuntimeError("the work fails")

    with pytest.raises(RuntimeError, match="the work fails"):
        work()
    assert not has_listeners()
