"""The images that a person names, scored under a finished run: what command and package call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from client.imaging.limits import MAXIMUM_PIXELS
from shared.errors import ConfigError, SiteError
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


def predict_named(
    run: Path,
    images: Sequence[Path],
    options: Options,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Prediction:
    """Score files, and those in folders, with the final model of the run in this folder.

    `on_image(done, total)` follows the files. What is written names patients, so it is for its
    owner alone. Raises ConfigError where the run is not finished, has no such operating point or
    there is no GPU for device cuda, SiteError where there is no image, and as `predict`.
    """
    finished = read_finished_run(run)
    # Imported here: they bring torch, which a wrong folder need not wait for.
    from client.predict.files import find_files
    from client.predict.predict import predict

    device = _choose(options.device)
    files = find_files(images)
    if not files:
        raise SiteError(
            f"There is no DICOM, PNG or JPEG image in {', '.join(map(str, images))}; name others."
        )
    on_image(0, len(files))
    with private_files():
        return predict(
            finished, files, device, point=options.point, explain=options.explain,
            maximum_pixels=options.maximum_pixels,
            on_image=lambda done: on_image(done, len(files)),
        )  # fmt: skip


def _choose(name: Device) -> torch.device:
    import torch

    if name is Device.cuda and not torch.cuda.is_available():
        raise ConfigError(
            "--device is cuda, but PyTorch finds no GPU here; check the driver with nvidia-smi, or "
            "use --device cpu."
        )
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(automatic if name is Device.auto else str(name))
