"""Shell completion, of commands that are imported when they are called too."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from shared.terminal.cli import COMMANDS

_CODE = "import sys; sys.argv[0] = 'fedthaw'; from shared.terminal.entry import main; main()"


def completed(line: str) -> list[str]:
    """What bash offers at the end of a line, by the protocol of the script that is installed."""
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    process = subprocess.run(
        [sys.executable, "-c", _CODE],
        env={
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            "_FEDTHAW_COMPLETE": "complete_bash",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout.split()


def test_the_commands() -> None:
    assert completed("fedthaw ") == list(COMMANDS)
    assert completed("fedthaw se") == ["settings", "server"]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("fedthaw simulate --q", ["--quick"]),
        ("fedthaw simulate --backend ", ["in-process", "ray"]),
        ("fedthaw site rev", ["revoke"]),
        ("fedthaw server status --w", ["--watch"]),
        ("fedthaw submit --c", ["--config"]),
        ("fedthaw simulate fold", []),  # the shell's own completion of files
    ],
)
def test_what_a_command_takes(line: str, offered: list[str]) -> None:
    assert completed(line) == offered
