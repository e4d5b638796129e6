"""`fedthaw evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    site: Annotated[Path, typer.Argument(help="A site's folder; all its patients are evaluated.")],
    json_output: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
) -> None:
    """Evaluate a run's final model on another site's folder.

    Example: fedthaw evaluate runs/first ../external --json
    """
    from server.evaluation.external import evaluate_external
    from server.terminal.progress import reporting
    from server.terminal.table import print_metrics
    from shared.protocol.replies import own_sites

    with own_sites(), reporting():
        name, metrics = evaluate_external(run, site)
    if json_output:
        typer.echo(json.dumps(metrics, indent=1))
    else:
        print_metrics(name, metrics)
