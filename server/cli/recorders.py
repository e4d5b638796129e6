"""The option by which a run is recorded for TensorBoard."""

from __future__ import annotations

from typing import Annotated

import typer

from shared.setting import Scalar

TensorBoardOption = Annotated[
    bool,
    typer.Option("--tensorboard", help="Write TensorBoard's logs into the run's folder."),
]


def with_tensorboard(wanted: bool) -> dict[str, Scalar]:
    """The setting that the option stands for."""
    return {"tensorboard": True} if wanted else {}
