"""`fedthaw report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shared.limits import MIN_CELL

app = typer.Typer(add_completion=False)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not, or of a study.")],
    out: Annotated[
        Path | None, typer.Option(help="The page; default: report.html in that folder.")
    ] = None,
    for_others: Annotated[
        bool,
        typer.Option(
            "--for-others",
            help="For a simulation: hide small numbers and round, so that the page may be shared.",
        ),
    ] = False,
    min_cell: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The smallest count of a single site that is shown to others; implies "
            f"--for-others, whose default is {MIN_CELL}.",
        ),
    ] = None,
) -> None:
    """Write a run or a study as one self-contained HTML page.

    Example: fedthaw report runs/first --out first.html
    """
    from server.report.write import write_report

    typer.echo(f"Report: {write_report(run, out, min_cell, for_others=for_others)}")
