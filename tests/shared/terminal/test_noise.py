"""What libraries print by themselves does not reach the terminal; what FedThaw says does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BEGIN = """
import logging, os, subprocess, sys, threading, warnings
from shared.terminal.noise import contain_libraries, own_stderr
if "--debug" not in sys.argv:
    contain_libraries()
logging.basicConfig(format="%(message)s")
"""
NOISE = {
    "C": 'os.write(2, b"Corrupt JPEG data")',
    "a warning": 'warnings.warn("Doe^Jane")',
    "a finaliser": """
class Dying:
    def __del__(self): raise ValueError("Doe^Jane")
Dying()""",
    "what runs at the end": """
import atexit
def fail(): raise ValueError("Doe^Jane")
atexit.register(fail)""",
    "a child": 'subprocess.run([sys.executable, "-c", "import os; os.write(2, b\\"C library\\")"])',
}


def run(program: str, *words: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program + '\nprint("FedThaw speaks", file=sys.stderr)',
         *words],
        capture_output=True, text=True, check=True, env=os.environ | environment,
    )  # fmt: skip
    return done.stderr


@pytest.mark.parametrize("kind", NOISE)
def test_libraries_are_not_heard(kind: str) -> None:
    assert run(NOISE[kind]) == "FedThaw speaks\n"
    assert run(NOISE[kind], "--debug") != "FedThaw speaks\n"


def test_a_thread_that_fails_is_a_sentence() -> None:
    said = run(
        'def work(): raise ValueError("Doe^Jane")\n'
        't = threading.Thread(target=work, name="reader"); t.start(); t.join()'
    )
    assert said == "The thread reader ended with an error (ValueError).\nFedThaw speaks\n"


def test_a_child_that_is_to_be_heard_is() -> None:
    child = 'subprocess.run([sys.executable, "-c", "import os; os.write(2, b\\"heard\\")"]'
    assert run(f"{child}, stderr=own_stderr())") == "heardFedThaw speaks\n"


def test_who_asks_for_warnings_gets_them() -> None:
    assert "mind this" in run('warnings.warn("mind this")', PYTHONWARNINGS="always")


def test_without_a_standard_error_nothing_breaks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import os, sys; os.close(2); sys.stderr = None\n"
         "from shared.terminal.noise import contain_libraries, own_stderr\n"
         "contain_libraries(); print(own_stderr())"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "None\n")
