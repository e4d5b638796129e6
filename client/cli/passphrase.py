"""The passphrase of a site's private key: from a file, or asked at a terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import click
import typer

from shared.errors import SiteError

VARIABLE = "FEDTHAW_SITE_PASSPHRASE_FILE"
SHORTEST = 12
"""Characters of a new passphrase; fewer are guessed from a stolen file."""
_LONGEST = 2**12
"""Bytes of a passphrase's file."""

PassphraseFileOption = Annotated[
    Path | None,
    typer.Option(help=f"A file whose first line is the key's passphrase; else {VARIABLE}."),
]


def passphrase_file(option: Path | None) -> Path | None:
    """The file that the option or the environment names, None for neither."""
    named = os.environ.get(VARIABLE)
    return option or (Path(named) if named else None)


def ask_passphrase(file: Path | None, key: Path, *, new: bool = False) -> bytes:
    """The passphrase of this key from the file, or from the terminal; a new one is asked twice.

    Raises SiteError where there is neither, for a file that is unreadable, open to everybody on
    the machine or without a passphrase, and for a new one of under `SHORTEST` characters.
    """
    if file is not None:
        text = _first_line(file)
    elif sys.stdin.isatty():
        question = f"{'New passphrase' if new else 'Passphrase'} of {key}"
        try:
            text = typer.prompt(question, hide_input=True, confirmation_prompt=new, err=True)
        except click.Abort:
            raise SiteError("No passphrase was given.") from None
    else:
        raise SiteError(
            f"The private key {key} needs a passphrase; give a file with it by --passphrase-file, "
            "or start the command at a terminal."
        )
    if new and len(text) < SHORTEST:
        raise SiteError(
            f"The passphrase has {len(text)} characters; a new one must have {SHORTEST} or more."
        )
    return text.encode()


def _first_line(file: Path) -> str:
    try:
        with file.expanduser().open("rb") as handle:
            exposed = os.fstat(handle.fileno()).st_mode & 0o007
            data = handle.read(_LONGEST)
        lines = data.decode("utf-8").splitlines()
    except OSError as error:
        raise SiteError(
            f"The passphrase file {file} cannot be read ({error.strerror}); check its permissions, "
            "or name another file."
        ) from None
    except UnicodeDecodeError:
        raise SiteError(f"The passphrase file {file} is not UTF-8 text; save it as such.") from None
    if exposed:
        raise SiteError(
            f"The passphrase file {file} is open to everybody on this machine: chmod 600 {file}"
        )
    if not lines or not lines[0]:
        raise SiteError(f"The first line of the passphrase file {file} is empty.")
    return lines[0]
