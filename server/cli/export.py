"""`fedthaw export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from server.export.formats import FORMATS, export
from server.terminal.progress import reporting
from shared.errors import ConfigError
from shared.run.finished import NOTICE, read_finished_run

app = typer.Typer(add_completion=False)


@app.command(name="export")
def export_command(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder to write to; default: RUN/export."),
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAMES",
            help=f"One or more of {', '.join(FORMATS)}, separated by commas.",
        ),
    ] = "safetensors",
) -> None:
    """Write a run's final model for other programs, with how to load it and prepare its input.

    Example: fedthaw export runs/first --format safetensors,onnx --out models/first

    Each file is loaded again, and its logits of fixed images compared with those of the run's own
    model, before it replaces an earlier export. Exit code 1 where they differ. ONNX needs the
    packages onnx, onnxscript and onnxruntime, which fedthaw's extra `export` installs. The
    safetensors file loads into torchvision's network.
    """
    wanted = [name.strip() for name in formats.split(",")]
    for name in wanted:
        if name not in FORMATS:
            raise ConfigError(f"--format has '{name}'; it may name {' and '.join(FORMATS)}.")
    finished = read_finished_run(run)
    with reporting():
        files = export(finished, out or run / "export", wanted)
    for file in files:
        typer.echo(str(file))
    for line in filter(None, (finished.caution, NOTICE)):
        typer.echo(line, err=True)
