"""The images that a person names, scored under a finished run: what command and package call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from client.imaging.limits import MAXIMUM_PIXELS
from shared.errors import ConfigError
from shared.run.finished import read_finished_run
from shared.storage.files import private_files

if TYPE_CHECKING:
    import torch

    from client.predict.scores import Prediction


class Device(StrEnum):
    """Where the network runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@dataclass(frozen=True)
class Options:
    """How images are scored."""

    explain: Path | None = None
    """The folder for a Grad-CAM of each image; None writes none."""
    point: str | None = None
    """Name of one of the run's operating points; None takes its first."""
    device: Device = Device.auto
    maximum_pixels: int = MAXIMUM_PIXELS
    """Larger images are refused."""
    patient: str | None = None
    """The column of patients in a table that is named; None guesses it."""
    image: str | None = None
    """Its column of images; None guesses it."""


def predict_named(
    run: Path,
    images: Sequence[Path],
    options: Options,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Prediction:
    """Score what is named with the final model of the run in this folder.

    `images` are files, folders, which are searched, and sites' folders, whose tables say which
    patient an image is of. A table among them says so of all that are in no site's folder; alone,
    of the images beside it. `on_image(done, total)` follows the files. What is written names
    patients, so it is for its owner alone. Raises ConfigError where the run is not finished, has no
    such operating point or there is no GPU for device cuda, SiteError where there is no image or a
    table cannot be used, and as `predict`.
    """
    finished = read_finished_run(run)
    # Imported here: they bring torch, which a wrong folder need not wait for.
    from client.predict.gather import gather
    from client.predict.predict import predict

    device = _choose(options.device)
    found = gather(images, options.patient, options.image)
    on_image(0, len(found.files))
    with private_files():
        prediction = predict(
            finished, found.files, device, owners=found.owners, point=options.point,
            explain=options.explain, maximum_pixels=options.maximum_pixels,
            on_image=lambda done: on_image(done, len(found.files)),
        )  # fmt: skip
    return replace(
        prediction,
        refused=(*prediction.refused, *found.refused),
        rows_without_image=found.rows_without_image,
        tables=found.tables,
    )


def _choose(name: Device) -> torch.device:
    import torch

    if name is Device.cuda and not torch.cuda.is_available():
        raise ConfigError(
            "--device is cuda, but PyTorch finds no GPU here; check the driver with nvidia-smi, or "
            "use --device cpu."
        )
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(automatic if name is Device.auto else str(name))
