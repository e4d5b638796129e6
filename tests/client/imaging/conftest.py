"""Processes of which a test must know what became of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.imaging.template import end_template


@pytest.fixture
def own_template() -> Iterator[None]:
    """A template that this test starts, and that no later test uses."""
    end_template()
    yield
    end_template()


def children(process: int) -> list[int]:
    """The processes that this one has started, by the system's own list."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if parent == process:
            found.append(int(folder.name))
    return found


def command_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


@pytest.fixture
def helpers_of() -> Callable[..., list[int]]:
    """The helper processes of a process (of this one), once there are at least so many."""

    def find(process: int | None = None, at_least: int = 1) -> list[int]:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            templates = [
                child
                for child in children(process or os.getpid())
                if "helper_process.py" in command_of(child)
            ]
            helpers = [helper for template in templates for helper in children(template)]
            if len(helpers) >= at_least:
                return helpers
            time.sleep(0.01)
        raise AssertionError("no helper was started")

    return find


@pytest.fixture
def all_end() -> Callable[[list[int]], bool]:
    """Whether these processes end, in any time."""

    def wait(processes: list[int]) -> bool:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if not any(_runs(process) for process in processes):
                return True
            time.sleep(0.05)
        return False

    return wait


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
