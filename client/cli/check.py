"""`fedthaw site check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from shared.limits import ImageColour, ImageFit
from shared.settings.config import RunConfig

DEFAULTS = RunConfig()


FIT = ImageFit(DEFAULTS.image_fit)
COLOUR = ImageColour(DEFAULTS.image_colour)


def check(
    folder: Annotated[Path, typer.Argument(help="The site's folder, with its site.toml.")],
    image_size: Annotated[
        int,
        typer.Option(min=32, max=4096, help="Side of the square input in pixels, as in the run."),
    ] = DEFAULTS.image_size,
    image_fit: Annotated[
        ImageFit, typer.Option(help="How images become square, as in the run.")
    ] = FIT,
    image_colour: Annotated[
        ImageColour, typer.Option(help="Channels read from an image, as in the run.")
    ] = COLOUR,
    listed: Annotated[
        bool,
        typer.Option(
            "--list", help="Name each file and row that is excluded or doubtful, and why."
        ),
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Read all of a site's data, and report what can be used.

    Example: fedthaw site check hospitals/north

    Exit code 2 if the site cannot train as it is. The prepared images are kept in the site's cache.
    The output has counts only, except with --list, which names files and patients and is for this
    site only.
    """
    from client.settings import load_site

    settings = load_site(folder)  # before PyTorch is: what is wrong in site.toml is said at once
    from client.cli.admission_table import admit_with_progress, print_report
    from client.model.device import choose_device

    choose_device(settings)  # a GPU that is not there refuses here, not when a run begins
    report = admit_with_progress(folder, image_size, str(image_fit), image_colour.channels).report
    if json_output:
        typer.echo(json.dumps(report.to_json(listed=listed), indent=1))
    else:
        print_report(report, listed=listed)
    if report.problems:
        raise typer.Exit(2)
