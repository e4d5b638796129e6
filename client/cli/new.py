"""`fedthaw site new`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from client.site_file import FILE_NAME
from shared.errors import SiteError

_WRITTEN = """
Wrote {file}. Correct a wrong guess there, or remove the file and rerun with its option (--help).
Next: fedthaw site check {folder} --list"""
TableOption = Annotated[
    Path | None,
    typer.Option("--from", metavar="TABLE", help="CSV or XLSX; default: the one table in FOLDER."),
]
ImagesOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of the images, anywhere.")
]
ImageOption = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Column with the images' names or paths.")
]
NoImageOption = Annotated[
    bool,
    typer.Option(
        "--no-image",
        help="No such column: match DICOM Patient IDs, or names of files and folders.",
    ),
]
PatientOption = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Column with the patients.")
]
OutcomeOption = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Column with the outcome.")
]
PositiveOption = Annotated[
    list[str] | None,
    typer.Option(metavar="VALUE", help="A positive outcome; may be repeated."),
]
NegativeOption = Annotated[
    list[str] | None,
    typer.Option(metavar="VALUE", help="A negative outcome; may be repeated."),
]
CovariateOption = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column with an ordinal clinical grade, to compare with the scores.",
    ),
]
PrintOption = Annotated[
    bool, typer.Option("--print", help="Print the proposed site.toml and write nothing.")
]


def new(
    folder: Annotated[Path, typer.Argument(help="The site's folder; site.toml is written there.")],
    table: TableOption = None,
    images: ImagesOption = None,
    name: Annotated[str | None, typer.Option(help="The site's name; default: FOLDER's.")] = None,
    image: ImageOption = None,
    no_image: NoImageOption = False,
    patient: PatientOption = None,
    outcome: OutcomeOption = None,
    positive: PositiveOption = None,
    negative: NegativeOption = None,
    covariate: CovariateOption = None,
    print_only: PrintOption = False,
) -> None:
    """Propose a site.toml from a table of outcomes and a folder of images.

    Example: fedthaw site new hospitals/north --from labels.csv

    It says what it guessed and why; each guess has an option that corrects it, and the file can be
    edited. An existing site.toml is never overwritten.
    """
    site = _absolute(folder)
    file = site / FILE_NAME
    if os.path.lexists(file) and not print_only:
        raise SiteError(
            f"{file} exists and is not overwritten; edit it, or see the proposal with --print."
        )
    # Imported here: other commands of this group need none of it.
    from client.cli.proposal_table import print_proposal
    from client.proposal.propose import Choices, propose
    from client.proposal.tables import find_table
    from client.proposal.text import site_toml
    from client.settings import load_site

    choices = Choices(
        name=name, images=None if images is None else _absolute(images), image=image,
        by_patient=no_image, patient=patient, outcome=outcome, positive=tuple(positive or ()),
        negative=tuple(negative or ()), covariate=covariate,
    )  # fmt: skip
    with Console(stderr=True).status("Reading the table and the names of images"):
        proposal = propose(site, find_table(site, table), choices)
    text = site_toml(proposal)
    print_proposal(proposal, Console(stderr=print_only))
    if print_only:
        typer.echo(text, nl=False)
        return
    _write(file, text)
    load_site(site)
    typer.echo(_WRITTEN.format(file=file, folder=shlex.quote(str(folder))))


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))


def _write(file: Path, text: str) -> None:
    """Write a file that is not there yet; SiteError where one has appeared meanwhile."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise SiteError(f"{file} exists and is not overwritten.") from None
