"""Checkpoints that others publish: where they are on the web, and where their libraries keep them.

No checksum but those in file names is known: a run pins what all its sites have by the base's
digest, and `weights-sha256` pins a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

PUBLISHED_WEIGHTS = ("xrv", "imagenet")
"""Weights that are fetched from where they were published; which backbones have them, these say."""
NAMED_WEIGHTS = (*PUBLISHED_WEIGHTS, "random")
"""What `weights` may be but a file's path."""


CACHE_VARIABLE = "FEDTHAW_CACHE"


@dataclass(frozen=True)
class Published:
    """A checkpoint on the web, written by `torch.save`.

    `folder` is where the library that published it keeps its own copy. A file name like
    `resnet50-11ad3fa6.pth` carries the first digits of the file's SHA-256, as torch.hub has it.
    """

    url: str
    folder: Callable[[], Path]

    @property
    def file(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]

    @property
    def sha256_prefix(self) -> str:
        """The digits that the file name promises; empty where it promises none."""
        match = re.search(r"-([0-9a-f]{8,64})\.pth$", self.file)
        return match[1] if match else ""


def cache_folder() -> Path:
    """Where fetched checkpoints are kept: `$FEDTHAW_CACHE/weights`, else the user's cache."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return (Path(chosen) if chosen else platformdirs.user_cache_path("fedthaw")) / "weights"


def of_torchxrayvision(file: str) -> Published:
    """A file of TorchXRayVision's release (github.com/mlmed/torchxrayvision)."""
    release = "https://github.com/mlmed/torchxrayvision/releases/download/v1"
    return Published(f"{release}/{file}", _torchxrayvision_folder)


def of_torchvision(file: str) -> Published:
    """A file that torchvision downloads."""
    return Published(f"https://download.pytorch.org/models/{file}", _torch_hub_folder)


def _torchxrayvision_folder() -> Path:
    # The file keeps its published name there (torchxrayvision.models.get_weights).
    return Path(os.path.expanduser("~"), ".torchxrayvision", "models_data")


def _torch_hub_folder() -> Path:
    import torch

    return Path(torch.hub.get_dir(), "checkpoints")
