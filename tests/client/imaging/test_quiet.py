from __future__ import annotations

import logging
import threading
import warnings

import pytest

from client.imaging.quiet import quiet_libraries


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


def test_pydicom_logs_nothing_inside(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("pydicom")
    with quiet_libraries():
        logger.warning("Doe^Jane")
    logger.warning("after")
    assert caplog.messages == ["after"]
