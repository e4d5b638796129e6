"""The files of an explanation: a PNG to look at, a DICOM object for the archive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from client.imaging.quiet import quiet_libraries
from client.predict.files import ReadImage
from client.predict.overlay import side_by_side
from client.predict.secondary_capture import secondary_capture
from shared.files import write_atomically
from shared.plain import name_part

_LONGEST = 50
"""Characters of the source's name: file systems limit names to 255 bytes."""


def write_explanation(
    folder: Path, number: int, source: ReadImage, heat: NDArray[np.float32], run: str
) -> str:
    """Write `folder`/NUMBER-NAME.png and .dcm, and return the name without suffix.

    Both show patients' pixels, and the DICOM object their names. Raises OSError where the folder
    cannot be written.
    """
    name = f"{number:04d}-{name_part(source.path.stem, _LONGEST)}"
    picture = side_by_side(source.square, heat)
    write_atomically(
        folder / f"{name}.png", lambda file: Image.fromarray(picture).save(file, format="PNG")
    )
    with quiet_libraries():  # a source whose values break their rules is copied as it is
        capture = secondary_capture(picture, source, run)
        write_atomically(
            folder / f"{name}.dcm", lambda file: capture.save_as(file, enforce_file_format=True)
        )
    return name


def remove_explanation(folder: Path, name: str) -> None:
    """Remove both files."""
    for suffix in ("png", "dcm"):
        (folder / f"{name}.{suffix}").unlink(missing_ok=True)
