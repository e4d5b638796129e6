"""The device that a site trains on."""

from __future__ import annotations

import resource
import sys

import torch

from client.settings import SiteSettings
from shared.errors import SiteError

NO_GPU = "the GPU that its site.toml names is not there; the site's own log says more"


def choose_device(settings: SiteSettings) -> torch.device:
    """The device that site.toml names; `auto` takes a GPU where there is one."""
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if settings.device.startswith("cuda") and not torch.cuda.is_available():
        raise SiteError(
            f"site.toml of {settings.name} asks for device '{settings.device}', but PyTorch finds "
            'no GPU here; check the driver with nvidia-smi, or set device = "auto".',
            shareable=NO_GPU,
        )
    device = torch.device(settings.device)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SiteError(
            f"site.toml of {settings.name} asks for device '{settings.device}', but PyTorch finds "
            f"{torch.cuda.device_count()} GPUs here, numbered from 0; name one of them.",
            shareable=NO_GPU,
        )
    return device


def peak_memory(device: torch.device) -> int:
    """Bytes: the most that PyTorch held on a GPU, else the most this process held."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
