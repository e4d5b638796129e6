"""A long-running process tells its own lines, and not Flower's."""

from __future__ import annotations

import subprocess
import sys

SAY = """
import logging, sys
logging.getLogger("fedthaw").setLevel(sys.argv[1])
from shared.logs import speak
speak("fedthaw.site")
logging.getLogger("fedthaw.site").info("connected")
import flwr.supercore.logger
logging.getLogger("flwr").info("a request")
"""


def said(level: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SAY, level], capture_output=True, text=True, check=True
    )
    return done.stderr.splitlines()


def test_own_lines_come_once_with_the_time() -> None:
    (line,) = said("ERROR")
    day, time, text = line.split(" ", 2)
    assert (len(day), len(time), text) == (10, 8, "connected")
    assert any("a request" in line for line in said("DEBUG"))
