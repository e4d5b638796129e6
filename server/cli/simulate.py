"""`fedthaw simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from server.cli.options import TensorBoardOption, with_tensorboard
from server.local.request import Request
from server.local.simulation import Backend
from server.local.simulation import simulate as run_simulation
from server.terminal.progress import reporting
from shared.memory import keep_freed_memory
from shared.settings.file import given_settings
from shared.terminal.settings import ConfigOption, SetOption

app = typer.Typer(add_completion=False)


@app.command()
def simulate(
    sites: Annotated[
        list[Path] | None,
        typer.Argument(help="Site folders; if none, four synthetic hospitals are made."),
    ] = None,
    settings: SetOption = None,
    config: ConfigOption = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; default: runs/<run id>.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    pool: Annotated[
        bool, typer.Option("--pool", help="Train on all sites' data as if in one place.")
    ] = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="A quick look: a small network, small images, few rounds; --set and --config win.",
        ),
    ] = False,
    backend: Annotated[
        Backend, typer.Option(help="This process, or Flower's simulation engine.")
    ] = Backend.in_process,
    tensorboard: TensorBoardOption = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print summary.json.")] = False,
) -> None:
    """Run a whole federation on this machine.

    Example: fedthaw simulate north east south --set weights=xrv --set rounds=20 --out runs/first

    Interrupt it at any time; the same command with --resume continues where it stopped.
    """
    overrides = given_settings(config, settings) | with_tensorboard(tensorboard)
    request = Request(tuple(sites or ()), overrides, out, resume, pool, quick)
    keep_freed_memory()  # as the sites' processes do: each step needs what the last one freed
    with reporting():
        folder = run_simulation(request, backend)
    _show(folder, json_output)


def _show(folder: Path, json_output: bool) -> None:
    from server.run.summary import read_summary, readable_summary
    from server.terminal.table import print_summary

    summary = read_summary(folder / "summary.json")
    if json_output:
        typer.echo((folder / "summary.json").read_text(encoding="utf-8"), nl=False)
    else:
        with readable_summary(folder / "summary.json"):
            print_summary(Console(), summary, str(folder))
