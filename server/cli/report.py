"""`fedthaw report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shared.limits import MIN_CELL

app = typer.Typer(add_completion=False)


@app.command()
def report(
    run: Annotated[
        Path, typer.Argument(help="Folder of a run, which need not be finished, or of a study.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The page; default: report.html in that folder.")
    ] = None,
    min_cell: Annotated[
        int, typer.Option(min=1, help="The smallest count of a single site that is shown.")
    ] = MIN_CELL,
) -> None:
    """Write a run or a study as one self-contained HTML page.

    Example: fedthaw report runs/first --out first.html
    """
    from server.report.write import write_report

    typer.echo(f"Report: {write_report(run, out, min_cell)}")
