"""Ctrl-C ends a simulation, whatever a library makes of it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from flwr.app import Context, Message, RecordDict

from server.simulation.grid import FIRST_NODE_ID, InProcessGrid, site_contexts
from server.simulation.interrupt import kept_interrupts, no_check
from shared.settings.config import RunConfig


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """What a shell starts in the background may ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def swallow(message: Message, context: Context) -> Message:
    """As PyTorch does in some places."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(10)
    except KeyboardInterrupt:
        raise TypeError("could not determine the shape of object type") from None
    raise AssertionError("no interrupt came")


def test_an_interrupt_that_was_swallowed_ends_the_run() -> None:
    def ask() -> None:
        with kept_interrupts() as check:
            grid = InProcessGrid(swallow, site_contexts(RunConfig(), 1), check)
            message = grid.create_message(RecordDict(), "train", FIRST_NODE_ID, "1")
            list(grid.send_and_receive([message]))

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        ask()
    assert signal.getsignal(signal.SIGINT) is before


def test_so_does_one_that_became_the_coordinators_error() -> None:
    def fail() -> None:
        with kept_interrupts():
            swallow(Message.__new__(Message), Context.__new__(Context))

    with pytest.raises(KeyboardInterrupt):
        fail()


def test_other_errors_stay_what_they_are() -> None:
    def fail() -> None:
        with kept_interrupts():
            raise ValueError("something else")

    with pytest.raises(ValueError, match="something else"):
        fail()


def test_without_one_nothing_is_raised() -> None:
    with kept_interrupts() as check:
        check()


def test_it_is_raised_at_once_as_ever() -> None:
    def press() -> None:
        with kept_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(10)

    with pytest.raises(KeyboardInterrupt):
        press()


def test_a_thread_that_gets_no_signals_has_no_check() -> None:
    found: list[bool] = []

    def look() -> None:
        with kept_interrupts() as check:
            found.append(check is no_check)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [True]


def test_whoever_ignores_interrupts_goes_on_ignoring_them() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with kept_interrupts() as check:
        os.kill(os.getpid(), signal.SIGINT)
        check()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
