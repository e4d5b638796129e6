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
        str | None, typer.Argument(help="A run's identity; without one, those that are kept.")
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

    Of validation patients, and with folds of the test patients. They are kept in the site's cache
    for 30 days and never sent. The output names patients and is for this site only.
    """
    from client.own_scores import kept_runs, kept_scores
    from client.settings import load_site
    from shared.run.finished import read_calibration
    from shared.run.score_table import scores_csv
    from shared.storage.files import write_private

    load_site(folder)
    if run is None:
        for one in kept_runs(folder):
            typer.echo(one)
        return
    found = kept_scores(folder, run)
    if not found:
        kept = ", ".join(kept_runs(folder)) or "none"
        raise ConfigError(
            f"This site has kept no scores of the run '{run}'; it has those of: {kept}."
        )
    chosen = None
    if calibration is not None:
        read = read_calibration(calibration)
        if read is None:
            raise ConfigError(f"There is no file {calibration}; name the run's calibration.json.")
        chosen = read.recalibration
    text = scores_csv(found, chosen)
    if csv is None:
        sys.stdout.write(text)
        return
    try:
        write_private(csv, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise ConfigError(
            f"{csv} cannot be written ({error.strerror}); name another file with --csv."
        ) from error
