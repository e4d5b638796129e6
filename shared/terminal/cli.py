"""`fedthaw`: names its commands and imports each only when it is called."""

from __future__ import annotations

import importlib
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated

import click
import typer
from typer.core import TyperGroup

from shared.deployment.proxies import drop_unusable_proxies
from shared.errors import FedThawError
from shared.plain import shown_lines
from shared.terminal.interruption import (
    end_as_interrupted,
    interruption_of,
    note_interruptions,
)
from shared.terminal.logs import begin
from shared.terminal.noise import DEBUG_VARIABLE, contain_libraries

COMMANDS = {
    "simulate": ("server.cli.simulate:app", "Run a whole federation on this machine."),
    "evaluate": (
        "server.cli.evaluate:app",
        "Evaluate a run's final model on cohorts that took no part.",
    ),
    "study": ("server.cli.study:app", "Compare ways of training by cross-validation."),
    "settings": ("server.cli.settings:app", "List the settings of a run."),
    "report": ("server.cli.report:app", "Write a run as one self-contained HTML page."),
    "predict": ("client.cli.predict:app", "Score single images with a run's final model."),
    "export": ("server.cli.export:app", "Write a run's final model for other programs."),
    "site": ("client.cli:app", "What a hospital does: check its folder, join a federation."),
    "submit": ("server.cli.submit:app", "Start a run at the coordinator's sites and follow it."),
    "stop": ("server.cli.submit:stop_app", "Stop a run; it can be continued."),
    "server": ("server.cli.server:app", "What the coordinator does: keys, sites, runs."),
    "health": ("shared.terminal.health:app", "Ask a running server or site whether it is serving."),
}
"""Command -> (module:typer app, one line of help)."""

FAILED, INTERRUPTED, TERMINATED = 1, 130, 143


class LazyGroup(TyperGroup):
    """A group that imports a command when it is called; its overview needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of a user's first day."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command's name and line of help."""
        known = COMMANDS.get(cmd_name)
        return click.Command(cmd_name, help=known[1]) if known else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is about to run, imported now."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, _load(name) if name and command else command, rest


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fedthaw {version('fedthaw')}")
        raise typer.Exit


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and Flower's own log.")
    ] = False,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Fine-tune a radiograph-pretrained ResNet-50 across hospitals that cannot share images.

    Example: fedthaw simulate north east --set rounds=20 --out runs/first
    """
    # Threads that spin while they wait make PyTorch ten times slower beside another busy process.
    # Read when PyTorch is imported, which no command has done yet.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
    begin(debug)
    drop_unusable_proxies()


def main() -> None:
    """The console script; exit code 2 for the user's mistake, 1 for a failure.

    128 and the signal's number, as shells have it, after Ctrl-C (130) and SIGTERM (143).
    """
    if "--debug" in sys.argv[1:]:
        os.environ[DEBUG_VARIABLE] = "1"
    else:
        contain_libraries()
    ended = end_as_interrupted()
    code = run(app, sys.argv[1:], note_interruptions())
    if code == INTERRUPTED and ended():
        code = TERMINATED
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is said: a second Ctrl-C just ends it
    _unread()  # where nothing is left to be written, this changes nothing
    sys.exit(code)


def run(
    command: Callable[..., object],
    arguments: Sequence[str],
    interrupted: Callable[[], bool] = lambda: False,
) -> int:
    """Run a typer app; every error becomes one sentence, with a traceback under `--debug` only.

    What fails after Ctrl-C (`interrupted`) has failed because of it.
    """
    debug = "--debug" in arguments
    try:
        result = command(args=list(arguments), standalone_mode=False)
        sys.stdout.flush()  # now, when it can still be said that it fails
        if result == INTERRUPTED:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        with suppress(OSError):  # nobody reads it
            error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _complain(interruption_of(arguments), INTERRUPTED)
    except FedThawError as error:
        if debug:
            raise
        return _complain(str(error), error.exit_code)
    except SystemExit as leave:  # rich's way out where nobody reads any more
        return leave.code if isinstance(leave.code, int) else FAILED
    except BrokenPipeError:  # who reads the output, such as `head`, has seen enough
        return _unread()
    except Exception as error:
        if debug:
            raise
        if interrupted():
            return _complain(interruption_of(arguments), INTERRUPTED)
        return _complain(_sentence(error), FAILED)


def _sentence(error: Exception) -> str:
    """What to say of an error that nobody has raised on purpose."""
    if isinstance(error, OSError):
        return f"{_what(error)}; fix this and rerun."
    return (
        f"Unexpected {type(error).__name__}: {error}. This is a fault of fedthaw; please "
        "report it with what `fedthaw --debug ...` prints."
    )


def _load(name: str) -> click.Command:
    """Import the module of a command and return the command."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    command = typer.main.get_command(getattr(importlib.import_module(module), attribute))
    command.name = name
    _unwrap_help(command)
    return command


def _unwrap_help(command: click.Command) -> None:
    """Let the terminal break the lines of a paragraph: Typer keeps the docstring's breaks."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    command.help = "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)
    for inner in getattr(command, "commands", {}).values():
        _unwrap_help(inner)


def _what(error: OSError) -> str:
    """The file and what is wrong with it, in the operating system's words."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def _complain(sentence: str, code: int) -> int:
    try:
        typer.echo(f"fedthaw: {shown_lines(sentence)}", err=True)
        sys.stdout.flush()
    except OSError:  # nobody reads it, or the disk that it goes to is full
        _unread()
    return code


def _unread() -> int:
    """Send nowhere what is still to be written: Python writes it when the process ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
            continue
        with suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
    return FAILED
