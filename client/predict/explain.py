"""An explanation: a Grad-CAM map, and its files, a PNG to look at and a DICOM object to keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from client.imaging.quiet import quiet_libraries
from client.predict.files import ReadImage
from client.predict.overlay import Legend, side_by_side
from client.predict.secondary_capture import secondary_capture
from shared.model.network import Network
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.plain import name_part
from shared.storage.files import write_atomically


def grad_cam(model: Network, features: Tensor, outcome: Outcome = BINARY) -> Tensor:
    """Maps (N, h, w) in [0, 1] of the features that enter `backbone.explained`.

    The features are maps (N, C, h, w), or tokens, whose places in the image make the map.

    Each image's greatest value is 1. Selvaraju et al., arXiv:1610.02391, equations 1 and 2: the
    logit's gradient, averaged over the positions, weights the channels. Negative values, evidence
    for the negative class, become 0; a map without evidence for the positive class is 0 everywhere.
    The model is in eval mode, so an image's map does not depend on its batch, and its parameters
    get no gradient. Of an outcome with several logits the one that `Outcome.explained` chooses is
    explained.
    """
    features = features.detach().requires_grad_(True)
    with torch.enable_grad():
        logits, _ = outcome.explained(model.rest(features, model.backbone.explained))
        (gradient,) = torch.autograd.grad(logits.sum(), features)
    weights = model.maps(gradient).mean(dim=(2, 3), keepdim=True)
    maps = (weights * model.maps(features.detach())).sum(dim=1).relu()
    peaks = maps.amax(dim=(1, 2), keepdim=True)
    return torch.where(peaks > 0, maps / peaks, torch.zeros_like(maps))


_LONGEST = 50
"""Characters of the source's name: file systems limit names to 255 bytes."""


def write_explanation(
    folder: Path,
    number: int,
    source: ReadImage,
    heat: NDArray[np.float32],
    legend: Legend,
    run: str,
) -> str:
    """Write `folder`/NUMBER-NAME.png and .dcm, and return the name without suffix.

    Both show patients' pixels, and the DICOM object their names. Raises OSError where the folder
    cannot be written.
    """
    name = f"{number:04d}-{name_part(source.path.stem, _LONGEST)}"
    overlay = side_by_side(source.square, heat, legend)
    write_atomically(
        folder / f"{name}.png", lambda file: Image.fromarray(overlay).save(file, format="PNG")
    )
    with quiet_libraries():  # a source whose values break their rules is copied as it is
        capture = secondary_capture(overlay, source, run)
        write_atomically(
            folder / f"{name}.dcm", lambda file: capture.save_as(file, enforce_file_format=True)
        )
    return name


def remove_explanation(folder: Path, name: str) -> None:
    """Remove both files."""
    for suffix in ("png", "dcm"):
        (folder / f"{name}.{suffix}").unlink(missing_ok=True)
