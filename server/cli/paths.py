"""Where a command's relative names point to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

COORDINATOR = Path("coordinator")
"""The coordinator's folder where none is named."""
HOME_VARIABLE = "FEDTHAW_COORDINATOR"
HomeOption = Annotated[
    Path, typer.Option("--home", envvar=HOME_VARIABLE, help="The coordinator's folder.")
]
