"""Options that several of a site's commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FolderArgument = Annotated[Path, typer.Argument(help="The site's folder, with its site.toml.")]
ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="ADDRESS", help="HOST:PORT, if not that of the invitation."),
]
CaOption = Annotated[
    Path | None,
    typer.Option("--ca", help="The coordinator's ca.crt, if not the one kept here."),
]
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Plain HTTP, to a --server on this machine only.")
]
