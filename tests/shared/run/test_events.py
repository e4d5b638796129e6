"""Who listens hears everything, in order; who does not costs nothing."""

from __future__ import annotations

import threading
import time

import pytest

from shared.run.events import Event, StepDone, Warned, emit, has_listeners, listening


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


def test_events_of_several_threads_are_told_one_at_a_time() -> None:
    inside, most = 0, 0

    def listener(event: Event) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.001)
        inside -= 1

    def tell() -> None:
        for _ in range(10):
            emit(StepDone("north"))

    with listening(listener):
        threads = [threading.Thread(target=tell) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (inside, most) == (0, 1)
