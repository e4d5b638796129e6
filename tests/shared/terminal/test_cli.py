"""The commands' names, and every error as one sentence with an exit code."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from types import ModuleType

import pytest
import typer

from shared.errors import ConfigError, FedThawError, ProtocolError, RunError, SiteError
from shared.terminal import cli

COMMANDS = [
    "simulate", "evaluate", "study", "settings", "report", "predict", "export", "site", "submit",
    "stop", "server", "health",
]  # fmt: skip

failing = ModuleType("failing_command")
failing_app = typer.Typer()
failing.app = failing_app  # type: ignore[attr-defined]  # the attribute that cli looks up
raised: list[BaseException] = []


@failing_app.command()
def fail(count: int = 1) -> None:
    """Raise what the test has asked for."""
    if raised:
        raise raised[0]


@pytest.fixture(autouse=True)
def _own_command(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command `fail`; the environment and the log levels are put back."""
    monkeypatch.setitem(sys.modules, "failing_command", failing)
    monkeypatch.setitem(cli.COMMANDS, "fail", ("failing_command:app", "Fail as asked."))
    for name in ("FLWR_TELEMETRY_ENABLED", "FLWR_DISABLE_UPDATE_CHECK"):
        monkeypatch.setenv(name, "as before")
    levels = {name: logging.getLogger(name).level for name in ("fedthaw", "flwr")}
    yield
    raised.clear()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_the_commands_are_these() -> None:
    assert [name for name in cli.COMMANDS if name != "fail"] == COMMANDS


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(cli.app, ["--help"]) == 0
    overview = capsys.readouterr().out
    for name, (_, line) in cli.COMMANDS.items():
        assert name in overview
        assert line[:30] in overview


def test_the_overview_imports_no_command() -> None:
    program = (
        "import sys\nfrom shared.terminal import cli\nassert cli.run(cli.app, ['--help']) == 0\n"
        "print(sorted({'torch', 'flwr', 'server', 'client'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(cli.app, ["--version"]) == 0
    assert capsys.readouterr().out == f"fedthaw {version('fedthaw')}\n"


def test_success() -> None:
    assert cli.run(cli.app, ["fail"]) == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("rounds is -1; it must lie in 0 to 100000."), 2),
        (SiteError("north has no images."), 2),
        (RunError("2 of 3 sites answered."), 1),
        (ProtocolError("a tensor is missing"), 1),
        (FedThawError("It failed."), 1),
    ],
)
def test_an_error_is_its_sentence_and_its_exit_code(
    error: FedThawError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    raised.append(error)
    assert cli.run(cli.app, ["fail"]) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"fedthaw: {error}\n")


def test_a_fault_of_the_program_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    raised.append(ZeroDivisionError("division by zero"))
    assert cli.run(cli.app, ["fail"]) == 1
    written = capsys.readouterr().err
    assert written.startswith("fedthaw: Unexpected ZeroDivisionError: division by zero. ")
    assert written.count("\n") == 1


def test_an_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    raised.append(KeyboardInterrupt())
    assert cli.run(cli.app, ["fail"]) == 130
    assert capsys.readouterr().err == "fedthaw: Interrupted.\n"


@pytest.mark.parametrize("error", [ConfigError("no"), ZeroDivisionError("no")])
def test_debug_shows_the_traceback(error: Exception) -> None:
    raised.append(error)
    with pytest.raises(type(error), match="no"):
        cli.run(cli.app, ["--debug", "fail"])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["simulat"], "simulat"),
        (["fail", "--unknown"], "--unknown"),
        (["fail", "--count", "x"], "x"),
    ],
)
def test_a_mistyped_command_line_is_the_users_mistake(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(cli.app, arguments) == 2
    assert word in capsys.readouterr().err


def test_flower_sends_nothing_home_unless_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in [("FLWR_TELEMETRY_ENABLED", "0"), ("FLWR_DISABLE_UPDATE_CHECK", "1")]:
        monkeypatch.delenv(name)
        cli.run(cli.app, ["fail"])
        assert os.environ[name] == value


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(cli.app, [name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f" {name} " in text
    assert "--help" in text
