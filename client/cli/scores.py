"""`fedthaw site scores`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shared.errors import ConfigError


def scores(
    folder: Annotated[Path, typer.Argument(help="The site's folder, with its site.toml.")],
    run: Annotated[
        str | None,
        typer.Argument(help="A run's ID; without it, lists the runs whose scores are kept."),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="The run's calibration.json, for the recalibrated score."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write the file instead of printing it.")
    ] = None,
) -> None:
    """Print this site's patients with their scores under a run's final model, as CSV.

    Example: fedthaw site scores hospitals/north 20260301-101500-ab12cd --csv scores.csv

    Covers the validation patients and, in runs with folds, the test patients. Scores are kept in
    the site's cache for 30 days and are never sent. The output names patients and is for this site
    only.
    """
    from client.own_scores import kept_runs, kept_scores
    from client.settings import load_site
    from shared.run.score_table import scores_csv

    load_site(folder)
    if run is None:
        runs = kept_runs(folder)
        for one in runs:
            typer.echo(one)
        if not runs:
            typer.echo("No scores are kept here: no run, or none in the last 30 days.", err=True)
        return
    found = kept_scores(folder, run)
    if not found:
        kept = ", ".join(kept_runs(folder)) or "none"
        raise ConfigError(
            f"This site has kept no scores of the run '{run}'; it has those of: {kept}."
        )
    text = scores_csv(found, None if calibration is None else _recalibration(calibration))
    if csv is None:
        sys.stdout.write(text)
    else:
        _write(csv, text)


def _recalibration(calibration: Path) -> tuple[float, float] | None:
    from shared.run.finished import read_calibration

    read = read_calibration(calibration)
    if read is None:
        raise ConfigError(f"There is no file {calibration}; name the run's calibration.json.")
    return read.recalibration


def _write(csv: Path, text: str) -> None:
    from shared.storage.files import write_private

    try:
        write_private(csv, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise ConfigError(
            f"{csv} cannot be written ({error.strerror}); name another file with --csv."
        ) from error
