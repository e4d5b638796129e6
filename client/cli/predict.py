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
from shared.storage.files import private_files, write_text_atomically

if TYPE_CHECKING:
    from client.predict.scores import Prediction

app = typer.Typer(add_completion=False)
NOTHING_SCORED = 2

CsvOption = Annotated[
    str | None,
    typer.Option(
        "--csv",
        metavar="FILE",
        help="Write one row per patient; - prints to standard output. Cells that could begin "
        "with = + - or @ get an apostrophe in front, so that no spreadsheet runs them.",
    ),
]
ImagesCsvOption = Annotated[
    str | None,
    typer.Option(
        "--images-csv", metavar="FILE", help="The same with one row per image, and refusals."
    ),
]
PatientOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="The table's column of patients; guessed by default."),
]
ImageOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="The table's column of images; guessed by default."),
]
OperatingPointOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="One of the run's operating points; default: the first."),
]


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...",
            help="DICOM, PNG or JPEG files, folders to search, site folders, and a "
            "table (CSV or XLSX) of images and patients.",
        ),
    ],
    explain: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a Grad-CAM of each image as PNG and DICOM there."),
    ] = None,
    operating_point: OperatingPointOption = None,
    csv: CsvOption = None,
    images_csv: ImagesCsvOption = None,
    patient: PatientOption = None,
    image: ImageOption = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print all as JSON.")] = False,
    device: Annotated[Device, typer.Option(help="auto uses a GPU if there is one.")] = Device.auto,
    max_megapixels: Annotated[
        float, typer.Option(min=0.01, max=1000, help="Larger images are refused.")
    ] = MAXIMUM_PIXELS / 1_000_000,
) -> None:
    r"""Score single images and their patients with a run's final model.

    Example: fedthaw predict runs/first new/0001.dcm --explain explained

    A site's folder (with its site.toml) or a table says which patient an image is of; else DICOM
    images are grouped by Patient ID, and each PNG or JPEG counts as one patient. Images that
    admission would set aside are refused, listed and counted; exit code 2 if none was scored. The
    output names patients and files; unprintable characters are written as escapes such as \x1b,
    except in JSON, which is exact. Research software, not a medical device.
    """
    if csv == "-" and json_output:
        raise ConfigError("Both --csv - and --json would print; name a file after --csv.")
    if images_csv == "-" and (csv == "-" or json_output):
        raise ConfigError("Both --images-csv - and another option would print; name a file there.")
    for option, name in (("--csv", csv), ("--images-csv", images_csv)):
        _require_folder(option, name)
    maximum = int(max_megapixels * 1_000_000)
    options = Options(explain, operating_point, device, maximum, patient, image)
    with private_files():  # what it writes names patients
        prediction = _predict(run, images, options)
        _show(prediction, csv, images_csv, json_output)
    if not prediction.images:
        raise typer.Exit(NOTHING_SCORED)


def _require_folder(option: str, name: str | None) -> None:
    """Before images are scored, which takes time; ConfigError where the file has no place."""
    if name is None or name == "-":
        return
    file = Path(name)
    if file.is_dir():
        raise ConfigError(f"{option} is the folder {file}; name a file.")
    if not file.parent.is_dir():
        raise ConfigError(f"There is no folder {file.parent} for {option}; name another file.")


def _predict(run: Path, images: list[Path], options: Options) -> Prediction:
    """Score with a bar on a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("Scoring images", total=None)
        return predict_named(
            run, images, options,
            lambda done, total: progress.update(bar, completed=done, total=total),
        )  # fmt: skip


def _show(prediction: Prediction, csv: str | None, by_image: str | None, json_output: bool) -> None:
    from client.predict import output
    from client.predict.spreadsheets import images_csv, patients_csv

    tables = (("--csv", csv, patients_csv), ("--images-csv", by_image, images_csv))
    for option, name, write in tables:
        if name is not None and name != "-":
            _write(option, Path(name), write(prediction))
        elif name == "-":
            sys.stdout.write(write(prediction))
    if json_output:
        typer.echo(json.dumps(output.to_json(prediction), indent=1))
    elif "-" in (csv, by_image):
        for line in output.beside_a_table(prediction):
            typer.echo(line, err=True)
    else:
        output.print_prediction(prediction)


def _write(option: str, file: Path, text: str) -> None:
    try:
        write_text_atomically(file, text)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written ({error.strerror}); name another file with {option}."
        ) from error
