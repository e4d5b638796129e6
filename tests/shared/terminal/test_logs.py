"""A long-running process tells its own lines, and not Flower's."""

from __future__ import annotations

import subprocess
import sys

SAY = """
import logging, sys
logging.getLogger("fedthaw").setLevel(sys.argv[1])
from shared.terminal.logs import log_to_terminal
log_to_terminal("fedthaw.site")
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


FAIL = """
import logging, sys
logging.getLogger("fedthaw").setLevel(sys.argv[1])
from shared.terminal.logs import begin, log_to_terminal
begin(sys.argv[1] == "DEBUG")
if sys.argv[2:]:
    log_to_terminal("fedthaw.server")
for name in ("fedthaw.server", "uvicorn.error", "pydicom.pixels.decoders.base", "PIL.Image"):
    try:
        raise ValueError("Doe^Jane")
    except ValueError:
        logging.getLogger(name).exception("%s failed.", name)
"""


def logged(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", FAIL, *words], capture_output=True, text=True, check=True
    )
    return done.stderr


def test_a_command_tells_its_own_errors_without_a_traceback() -> None:
    assert logged("ERROR") == "fedthaw.server failed (ValueError).\n"


def test_a_server_tells_its_libraries_errors_too_but_not_what_may_quote_a_patient() -> None:
    first, second = logged("ERROR", "speak").splitlines()
    assert first.endswith(" fedthaw.server failed (ValueError).")
    assert second.endswith(" uvicorn.error failed (ValueError).")


def test_debug_has_the_tracebacks() -> None:
    assert "Traceback" in logged("DEBUG")


QUOTE = """
import logging
from shared.terminal.logs import log_to_terminal
log_to_terminal("fedthaw.site")
logging.getLogger("fedthaw.site").error("It says %s.", "a\\n2026-01-01 00:00:00 Approved.\\x1b[2J")
"""


def test_what_another_machine_says_is_neither_a_line_nor_a_command() -> None:
    done = subprocess.run([sys.executable, "-c", QUOTE], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert line.endswith(r"It says a\x0a2026-01-01 00:00:00 Approved.\x1b[2J.")
