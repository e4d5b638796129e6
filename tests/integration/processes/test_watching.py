"""`fedthaw server status --watch` on a terminal of its own, as on a wall."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.link.folder.home import Home, only_one
from server.link.progress.status import write_status

FEDTHAW = Path(sys.executable).parent / "fedthaw"
pytestmark = pytest.mark.slow


class Screen:
    """A command on a pseudo-terminal, and all that it has written there."""

    def __init__(self, *words: object) -> None:
        self.near, far = pty.openpty()
        self.size(100, 30)
        # Where readline is loaded without a terminal, it sets a size for all processes after it.
        sizes = ("COLUMNS", "LINES")
        environment = {key: value for key, value in os.environ.items() if key not in sizes}
        environment["TERM"] = "xterm-256color"
        self.process = subprocess.Popen(
            [str(FEDTHAW), *map(str, words)], stdin=far, stdout=far, stderr=far, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(far)
        os.set_blocking(self.near, False)
        self.text = ""

    def size(self, width: int, height: int) -> None:
        fcntl.ioctl(self.near, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def wait(self, condition: Callable[[str], bool]) -> str:
        """What is written from now on, until it fulfils the condition."""
        seen, deadline = "", time.monotonic() + 60
        while not condition(seen):
            assert time.monotonic() < deadline, seen
            try:
                seen += os.read(self.near, 2**16).decode(errors="replace")
            except BlockingIOError:
                time.sleep(0.05)
            except OSError:  # the other end is closed
                assert condition(seen), seen
        self.text += seen
        return seen


def lines_of_last_picture(text: str) -> int:
    """How many lines the last picture has that was drawn to its end."""
    pictures = text.split("\x1b[H")
    return [one.count("\n") for one in pictures if "Ctrl-C" in one][-1]


@pytest.fixture
def watch() -> Iterator[Callable[[Path], Screen]]:
    """Start the command; it is gone after the test."""
    screens: list[Screen] = []

    def start(folder: Path) -> Screen:
        screens.append(Screen("server", "status", "--home", folder, "--watch"))
        return screens[-1]

    yield start
    for screen in screens:
        screen.process.kill()
        screen.process.wait()
        os.close(screen.near)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_screen_for_a_wall(
    tmp_path: Path, here: Callable[..., object], watch: Callable[[Path], Screen], kind: int
) -> None:
    folder = tmp_path / "coordinator"
    here("server", "init", folder, "--name", "hub")
    screen = watch(folder)
    screen.wait(lambda text: "NO SERVER PROCESS" in text and "Ctrl-C" in text)
    assert "\x1b[?1049h" in screen.text
    with only_one(Home(folder)):
        write_status(Home(folder), {"run": None, "sites": {}})
        screen.wait(lambda text: " SERVING " in text)
        screen.size(40, 12)  # the window becomes smaller, and soon all fits in
        screen.wait(lambda text: "Ctrl-C" in text and lines_of_last_picture(text) <= 12)
    screen.wait(lambda text: "NO SERVER PROCESS" in text)
    assert "\x1b[2J" not in screen.text.partition("\x1b[?1049h")[2]
    screen.process.send_signal(kind)
    screen.wait(lambda text: "\x1b[?1049l" in text)
    assert screen.process.wait(30) == 0
    assert "Traceback" not in screen.text
