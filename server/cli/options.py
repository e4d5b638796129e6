"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from server.run.process import HOME_VARIABLE
from shared.settings.setting import Scalar

COORDINATOR = Path("coordinator")
"""The coordinator's folder where none is named."""
HomeOption = Annotated[
    Path, typer.Option("--home", envvar=HOME_VARIABLE, help="The coordinator's folder.")
]
TensorBoardOption = Annotated[
    bool,
    typer.Option("--tensorboard", help="Write TensorBoard's logs into the run's folder."),
]


def with_tensorboard(wanted: bool) -> dict[str, Scalar]:
    """The setting that the option stands for."""
    return {"tensorboard": True} if wanted else {}
