"""A finished run's model that teaches another one on a site's own images; it never leaves."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor

from shared.errors import ConfigError, FedThawError, SiteError
from shared.model.final import load_final_model
from shared.model.network import Network
from shared.run.finished import read_finished_run
from shared.settings.config import RunConfig
from shared.storage.digest import file_sha256

CONFIG, MODEL = "config.json", "model.safetensors"
"""What a copy of a run needs to teach."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained network, and the side of the images that it takes."""

    network: Network
    image_size: int

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """The teacher's logits of images as the student sees them, (N, C, H, W), scaled to fit.

        Of an image and its augmented version, (N, 2C, H, W), the last.
        """
        side = self.image_size
        images = images[:, -self.network.backbone.channels :].float()
        if images.shape[-1] != side:
            images = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
        return self.network(images)  # type: ignore[no-any-return]


def site_teacher(
    config: RunConfig, own: str | None, device: torch.device, *, deployed: bool
) -> Teacher | None:
    """The teacher that a run asks for, None where it asks for none.

    `own` is the site's copy of the teacher's run, which a deployed site must have: which files it
    has is none of a coordinator's business. SiteError where it has none or another one.
    """
    if not config.teacher:
        return None
    require_own_teacher(config, own, deployed=deployed)
    folder = Path(os.path.expanduser(own or config.teacher))
    return _teacher(
        folder, config.teacher_sha256, config.outcome, config.image_colour, _stamp(folder), device
    )


def require_own_teacher(config: RunConfig, own: str | None, *, deployed: bool) -> None:
    """SiteError where a run asks for a teacher and the site's copy of it is not there.

    A deployed site must name one; in a simulation it may.
    """
    if not config.teacher:
        return
    wanted = (
        "the run has a teacher, a finished run whose model.safetensors has SHA-256 "
        f"{config.teacher_sha256 or '(not said)'}"
    )
    if deployed and (own is None or not config.teacher_sha256):
        raise SiteError(
            f"{wanted[0].upper()}{wanted[1:]}; put a copy of that run's folder on this "
            "machine and name it as teacher in [compute] of site.toml.",
            shareable=(
                "it must name its own copy of the teacher's run in its site.toml "
                "([compute] teacher)"
            ),
        )
    if own is not None and (lacking := _lacking(Path(os.path.expanduser(own)))):
        raise SiteError(
            f"teacher in [compute] of site.toml is {own}, but {lacking} there; {wanted}. Copy "
            "that run's folder there, or correct the path.",
            shareable=(
                f"{lacking} where its site.toml has the teacher's run ([compute] teacher); "
                f"{wanted}, and its folder must be copied there"
            ),
        )


def _lacking(folder: Path) -> str:
    """What a copy of a run lacks, as the beginning of a sentence; empty if complete."""
    if not folder.is_dir():
        return "there is no folder"
    lacking = [name for name in (CONFIG, MODEL) if not (folder / name).is_file()]
    return f"there is no {' and no '.join(lacking)}" if lacking else ""


@functools.lru_cache(maxsize=1)
def _teacher(
    folder: Path,
    sha256: str,
    outcome: str,
    image_colour: str,
    _stamp: object,
    device: torch.device,
) -> Teacher:
    try:
        finished = read_finished_run(folder)
        digest = file_sha256(finished.model)
        if not digest.startswith(sha256):
            raise ConfigError(
                f"its model.safetensors has SHA-256 {digest}, and the run's teacher has {sha256}; "
                "copy the folder of that run there."
            )
        taught = finished.stored.config
        if taught.outcome != outcome:
            raise ConfigError(
                f"it predicts '{taught.outcome}' and this run '{outcome}'; a teacher needs the "
                "same classes in the same order."
            )
        if taught.image_colour != image_colour:
            raise ConfigError(
                f"it was trained with image-colour={taught.image_colour}, but this run has "
                f"image-colour={image_colour}; teacher and student must read the same."
            )
        network = load_final_model(
            finished.model, finished.backbone, taught.outputs, taught.channels
        ).to(device)
    except (FedThawError, OSError) as error:
        raise SiteError(
            f"The teacher in {folder} cannot be used: {error}",
            shareable=(
                "its copy of the teacher's run ([compute] teacher in its site.toml) cannot be "
                "used; the site's own log says why"
            ),
        ) from error
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return Teacher(network, taught.image_size)


def _stamp(folder: Path) -> object:
    """What changes when the model's file is replaced."""
    try:
        found = (folder / MODEL).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
