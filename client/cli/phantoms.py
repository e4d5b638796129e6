"""`fedthaw site phantoms`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def phantoms(
    folder: Annotated[Path, typer.Argument(help="Where the hospitals' folders are made.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other patients.")] = 0,
    image_side: Annotated[int, typer.Option(min=64, max=2048, help="Pixels.")] = 256,
) -> None:
    """Make four synthetic hospitals to try things out on.

    Example: fedthaw site phantoms hospitals
    """
    from shared.phantoms.hospitals import write_hospitals

    for made in write_hospitals(folder, seed=seed, image_side=image_side):
        typer.echo(str(made))
