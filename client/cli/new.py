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


def new(
    folder: Annotated[Path, typer.Argument(help="The site's folder; site.toml is written there.")],
    table: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="TABLE", help="CSV or XLSX; default: the one table in FOLDER."
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the images, anywhere.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The site's name; default: FOLDER's.")] = None,
    image: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column with the images' names or paths.")
    ] = None,
    no_image: Annotated[
        bool,
        typer.Option(
            "--no-image",
            help="No such column: match DICOM Patient IDs, or names of files and folders.",
        ),
    ] = False,
    patient: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column with the patients.")
    ] = None,
    outcome: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column with the outcome.")
    ] = None,
    positive: Annotated[
        list[str] | None,
        typer.Option(metavar="VALUE", help="A positive outcome; may be repeated."),
    ] = None,
    negative: Annotated[
        list[str] | None,
        typer.Option(metavar="VALUE", help="A negative outcome; may be repeated."),
    ] = None,
    covariate: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column with a clinical grade.")
    ] = None,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the proposed site.toml and write nothing.")
    ] = False,
) -> None:
    """Propose a site.toml from a table of outcomes and a folder of images.

    Example: fedthaw site new hospitals/north --from labels.csv

    It says what it guessed and why; each guess has an option that corrects it, and the file can be
    edited. A site.toml that is there is never overwritten.
    """
    site = Path(os.path.abspath(os.path.expanduser(folder)))
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
        name=name,
        images=None if images is None else Path(os.path.abspath(os.path.expanduser(images))),
        image=image,
        by_patient=no_image,
        patient=patient,
        outcome=outcome,
        positive=tuple(positive or ()),
        negative=tuple(negative or ()),
        covariate=covariate,
    )
    with Console(stderr=True).status("Reading the table and the names of images"):
        proposal = propose(site, find_table(site, table), choices)
    text = site_toml(proposal)
    print_proposal(proposal, Console(stderr=print_only))
    if print_only:
        typer.echo(text, nl=False)
        return
    _write(file, text)
    load_site(site)
    typer.echo(
        f"\nWrote {file}. Correct a wrong guess there, or remove the file and rerun with its "
        "option (--help).\n"
        f"Next: fedthaw site check {shlex.quote(str(folder))} --list"
    )


def _write(file: Path, text: str) -> None:
    """Write a file that is not there yet; SiteError where one has appeared meanwhile."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise SiteError(f"{file} exists and is not overwritten.") from None
