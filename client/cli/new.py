"""`fedthaw site new`."""

from __future__ import annotations

import dataclasses
import os
import shlex
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from client.site_file import FILE_NAME
from shared.errors import SiteError

if TYPE_CHECKING:
    from client.proposal.folders import Folders
    from client.proposal.propose import Choices, Proposal

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
        help="There is no such column; match DICOM Patient IDs, or file and folder names.",
    ),
]
PatientOption = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Column with the patient identifiers.")
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
ClassesOption = Annotated[
    str,
    typer.Option(
        metavar="NAMES",
        help="Several classes in their order, as the run's outcome has them: "
        "'none | mild | severe'; a class may list its values: 'none=no,0 | mild=1 | severe=2,3'.",
    ),
]
OrdinalOption = Annotated[
    bool | None,
    typer.Option("--ordinal/--no-ordinal", help="Whether the classes are ordered, low to high."),
]
LabelsOption = Annotated[
    str,
    typer.Option(
        metavar="NAMES",
        help="Several labels in their order, as the run's outcome has them, each with a column of "
        "0 and 1, yes and no, ...: 'effusion | cardiomegaly=heart', where heart is the column of "
        "cardiomegaly. --positive and --negative count for each column that has the value.",
    ),
]
FoldersOption = Annotated[
    Path | None,
    typer.Option(
        "--from-folders",
        metavar="DIR",
        help="Instead of a table: DIR has a folder of images for each class (as for PyTorch's "
        "ImageFolder); a table is written into FOLDER.",
    ),
]
PatternOption = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="With --from-folders: its first group, matched in an image's path below its class's "
        "folder, is the patient, e.g. '(P[0-9]+)_'; default: DICOM Patient IDs, else each image.",
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
    classes: ClassesOption = "",
    ordinal: OrdinalOption = None,
    labels: LabelsOption = "",
    covariate: CovariateOption = None,
    from_folders: FoldersOption = None,
    patient_pattern: PatternOption = None,
    print_only: PrintOption = False,
) -> None:
    """Propose a site.toml from a table of outcomes and a folder of images.

    Example: fedthaw site new hospitals/north --from labels.csv

    Example: fedthaw site new north --from labels.csv --labels 'effusion | cardiomegaly=heart'

    Example: fedthaw site new north --from-folders chest/train --patient-pattern '(person[0-9]+)_'

    It says what it guessed and why; each guess has an option that corrects it, and the file can be
    edited. An existing site.toml is never overwritten.
    """
    from client.proposal.propose import Choices

    choices = Choices(
        name=name, images=None if images is None else _absolute(images), image=image,
        by_patient=no_image, patient=patient, outcome=outcome, covariate=covariate,
        positive=tuple(positive or ()), negative=tuple(negative or ()),
        classes=classes, ordinal=ordinal, labels=labels,
    )  # fmt: skip
    folders = _folders(from_folders, patient_pattern, table, choices)
    _propose(folder, table, folders, choices, print_only=print_only)


def _propose(
    folder: Path, table: Path | None, folders: Folders | None, choices: Choices, *, print_only: bool
) -> None:
    """Print the proposal, and write it."""
    # Imported here: other commands of this group need none of it.
    from client.cli.proposal_table import print_proposal
    from client.proposal.folders import IMAGE, OUTCOME, PATIENT, TABLE, write_table
    from client.proposal.propose import propose
    from client.proposal.tables import find_table
    from client.proposal.text import site_toml
    from client.settings import load_site

    site = _absolute(folder)
    file = site / FILE_NAME
    _require_new(file, print_only)
    if folders is not None:
        patient = IMAGE if folders.patients is None else PATIENT
        choices = dataclasses.replace(
            choices, images=folders.root, image=IMAGE, patient=patient, outcome=OUTCOME
        )
    say = partial(typer.echo, err=print_only)
    with Console(stderr=True).status("Reading names and outcomes"), TemporaryDirectory() as place:
        if folders is not None:
            table = Path(place) / TABLE
            table.write_text(folders.table(), encoding="utf-8")
            for sentence in folders.remarks():
                say(sentence)
        proposal = propose(site, find_table(site, table), choices)
    if folders is not None:
        proposal = _of_folders(proposal, site / TABLE)
    text = site_toml(proposal)
    print_proposal(proposal, Console(stderr=print_only))
    if print_only:
        typer.echo(text, nl=False)
        return
    if folders is not None:
        write_table(site / TABLE, folders.table())
    _write(file, text)
    load_site(site)
    typer.echo(_WRITTEN.format(file=file, folder=shlex.quote(str(folder))))


def _require_new(file: Path, print_only: bool) -> None:
    if os.path.lexists(file) and not print_only:
        raise SiteError(
            f"{file} exists and is not overwritten; edit it, or see the proposal with --print."
        )


def _of_folders(proposal: Proposal, table: Path) -> Proposal:
    """The proposal with the table that is written from the folders."""
    why = dict.fromkeys(("images", "patient", "image", "outcome"), "as --from-folders says")
    why["labels"] = "written from the folders"
    settings = dataclasses.replace(proposal.settings, labels=table)
    return dataclasses.replace(proposal, settings=settings, why=proposal.why | why)


def _folders(
    root: Path | None, pattern: str | None, table: Path | None, choices: Choices
) -> Folders | None:
    """What --from-folders finds; SiteError where it is given with options of a table."""
    if root is None:
        if pattern is not None:
            raise SiteError("--patient-pattern is for --from-folders; name the folder with it.")
        return None
    of_a_table = (table, choices.images, choices.image, choices.patient, choices.outcome)
    if any(one is not None for one in of_a_table):
        raise SiteError(
            "--from-folders takes the place of a table and of the options that name its columns "
            "(--from, --images, --image, --patient, --outcome); leave those out."
        )
    if choices.labels:
        raise SiteError(
            "--from-folders gives each image the one class of its folder; several labels "
            "(--labels) need a table with a column for each (--from)."
        )
    from client.proposal.folders import read_folders

    return read_folders(_absolute(root), pattern)


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
    except BaseException:  # a full disk: half of it would be taken for the owner's own file
        file.unlink(missing_ok=True)
        raise
