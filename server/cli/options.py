"""Options that several commands have, and where relative names on a command line point to."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from server.run.process import HOME_VARIABLE
from shared.config import NAMED_WEIGHTS, RunConfig
from shared.setting import Scalar

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


def default_folder() -> Path:
    """A new run's folder where none is named."""
    return Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def with_absolute_weights(config: RunConfig) -> RunConfig:
    """The same configuration with the path of a local weights file made absolute.

    The apps may run in another working directory than the command.
    """
    if config.weights in NAMED_WEIGHTS:
        return config
    return replace(config, weights=os.path.abspath(os.path.expanduser(config.weights)))
