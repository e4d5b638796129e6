from __future__ import annotations

import io
import logging
import threading
import warnings
from collections.abc import Iterator

import pytest

from client.imaging.quiet import quiet_libraries

TREES = ("pydicom", "pydicom.pixels.decoders.base", "PIL", "PIL.Image", "openpyxl.reader", "gdcm")


@pytest.fixture
def terminal() -> Iterator[io.StringIO]:
    """What a handler of the root logger shows, as every command has one."""
    shown = io.StringIO()
    handler = logging.StreamHandler(shown)
    logging.getLogger().addHandler(handler)
    yield shown
    logging.getLogger().removeHandler(handler)


def test_filters_return_when_threads_overlap() -> None:
    before = list(warnings.filters)
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with quiet_libraries():
            inside.set()
            leave.wait(60)
            warnings.warn("still quiet", UserWarning, stacklevel=1)

    thread = threading.Thread(target=work)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with quiet_libraries():
            thread.start()
            assert inside.wait(60)
        leave.set()
        thread.join(60)
        with pytest.raises(UserWarning, match="loud"):
            warnings.warn("loud", UserWarning, stacklevel=1)
    assert list(warnings.filters) == before


@pytest.mark.parametrize("name", TREES)
def test_no_record_of_a_library_is_shown_inside(name: str, terminal: io.StringIO) -> None:
    logger = logging.getLogger(name)
    with quiet_libraries():
        try:
            raise ValueError("Doe^Jane")
        except ValueError:
            logger.exception("Doe^Jane")
    assert terminal.getvalue() == ""
    logger.warning("after")
    assert terminal.getvalue() == "after\n"


@pytest.mark.parametrize("name", TREES)
def test_a_handler_of_its_own_is_silent_inside_and_speaks_again(name: str) -> None:
    """`pydicom.config.debug` adds one at the top of the tree."""
    shown = io.StringIO()
    handler = logging.StreamHandler(shown)
    top = logging.getLogger(name.partition(".")[0])
    top.addHandler(handler)
    try:
        with quiet_libraries():
            logging.getLogger(name).error("Doe^Jane")
        logging.getLogger(name).error("after")
    finally:
        top.removeHandler(handler)
    assert shown.getvalue() == "after\n"


def test_records_stay_hidden_until_the_last_thread_is_out(terminal: io.StringIO) -> None:
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with quiet_libraries():
            inside.set()
            leave.wait(60)
            logging.getLogger("pydicom.pixels").error("Doe^Jane")

    thread = threading.Thread(target=work)
    with quiet_libraries():
        thread.start()
        assert inside.wait(60)
    leave.set()
    thread.join(60)
    assert terminal.getvalue() == ""
    logging.getLogger("pydicom.pixels").error("after")
    assert terminal.getvalue() == "after\n"
