"""`fedthaw evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)
ByOption = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        metavar="COLUMN[:EDGES]",
        help="Also report subgroups by this column of the cohorts' tables; numbers are cut at "
        "EDGES (age:1,5,10). Tables without such a column: view, device and modality come from "
        "DICOM. May be repeated.",
    ),
]


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    cohorts: Annotated[
        list[Path],
        typer.Argument(
            metavar="COHORT...", help="Site folders; all patients of each are evaluated."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="A new folder for the results; default: external/NAME in the run's."),
    ] = None,
    by: ByOption = None,
    for_others: Annotated[
        bool,
        typer.Option(
            "--for-others",
            help="Hide and round what would reveal few patients, and write no patient's score.",
        ),
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print evaluation.json.")] = False,
) -> None:
    """Evaluate a run's final model on cohorts that took no part in it.

    Example: fedthaw evaluate runs/first ../external --by sex --by age:1,5,10

    Writes metrics with 95 % CIs (evaluation.json, metrics.csv), curves, a page (report.html), and
    each patient's score (private-scores.csv), which is for the owner of the cohorts alone.
    Thresholds and recalibration are the run's, chosen on its validation patients.
    """
    from server.external.subgroups import parse_columns
    from server.local.evaluation import DOCUMENT
    from server.local.evaluation import evaluate as run_evaluation
    from server.terminal.external import print_evaluation
    from server.terminal.progress import reporting

    columns = parse_columns(by or [])
    with reporting():
        written = run_evaluation(run, cohorts, columns, out=out, for_others=for_others)
    if json_output and written.folder is not None:
        typer.echo((written.folder / DOCUMENT).read_text(encoding="utf-8"), nl=False)
    else:
        print_evaluation(written.result, written.folder)
