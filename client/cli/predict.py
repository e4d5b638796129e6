"""`fedthaw predict`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from client.imaging.limits import MAXIMUM_PIXELS
from client.predict.named_files import Device, Options, predict_named
from shared.errors import ConfigError
from shared.run.finished import NOTICE
from shared.storage.files import private_files, write_text_atomically

if TYPE_CHECKING:
    from client.predict.scores import Prediction

app = typer.Typer(add_completion=False)
NOTHING_SCORED = 2


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...", help="DICOM, PNG or JPEG files, or folders, which are searched."
        ),
    ],
    explain: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a Grad-CAM of each image as PNG and DICOM there."),
    ] = None,
    operating_point: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="One of the run's operating points; default: the first."),
    ] = None,
    csv: Annotated[
        str | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write one row per image; - prints them. Safe to open in a spreadsheet: an "
            "apostrophe precedes = + - @ where a cell could begin.",
        ),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print all as JSON.")] = False,
    device: Annotated[Device, typer.Option(help="auto uses a GPU if there is one.")] = Device.auto,
    max_megapixels: Annotated[
        float, typer.Option(min=0.01, max=1000, help="Larger images are refused.")
    ] = MAXIMUM_PIXELS / 1_000_000,
) -> None:
    r"""Score single images and their patients with a run's final model.

    Example: fedthaw predict runs/first new/0001.dcm --explain explained

    DICOM images are grouped by Patient ID; each PNG or JPEG counts as one patient. Images that
    admission would set aside are refused, listed and counted; exit code 2 if none was scored. The
    output names patients and files; unprintable characters are written as escapes such as \x1b,
    except in JSON, which is exact. Research software, not a medical device.
    """
    if csv == "-" and json_output:
        raise ConfigError("Both --csv - and --json would print; name a file after --csv.")
    options = Options(explain, operating_point, device, int(max_megapixels * 1_000_000))
    with private_files():  # what it writes names patients
        prediction = _predict(run, images, options)
        _show(prediction, csv, json_output)
    if not prediction.images:
        raise typer.Exit(NOTHING_SCORED)


def _predict(run: Path, images: list[Path], options: Options) -> Prediction:
    """Score with a bar on a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("Scoring images", total=None)
        return predict_named(
            run, images, options,
            lambda done, total: progress.update(bar, completed=done, total=total),
        )  # fmt: skip


def _show(prediction: Prediction, csv: str | None, json_output: bool) -> None:
    from client.predict.output import print_prediction, to_csv, to_json

    if csv is not None and csv != "-":
        write_text_atomically(Path(csv), to_csv(prediction))
    if json_output:
        typer.echo(json.dumps(to_json(prediction), indent=1))
    elif csv == "-":
        sys.stdout.write(to_csv(prediction))
        for line in filter(None, (prediction.caution, NOTICE)):
            typer.echo(line, err=True)
    else:
        print_prediction(prediction)
