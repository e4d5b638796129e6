"""The device that a site computes on, its compute dtype, and the memory that it takes."""

from __future__ import annotations

import resource
import sys
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch.amp import GradScaler

from client.settings import SiteSettings
from shared.errors import ConfigError, SiteError

_CPU_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16")
"""What PyTorch calls the instructions of CPUs that multiply in bfloat16."""

LOSS_SCALE = 1024.0
"""Float16's gradients are scaled by this much; a round has too few steps to search for more."""


@dataclass(frozen=True)
class Precision:
    """Device type and compute dtype."""

    device: str
    dtype: torch.dtype

    def autocast(self) -> torch.autocast:
        """The context in which matrix products and convolutions use the dtype."""
        mixed = self.dtype != torch.float32
        dtype = self.dtype if mixed else None
        # The cache of casted weights would outlive a step's weights in a longer context.
        return torch.autocast(self.device, dtype=dtype, enabled=mixed, cache_enabled=False)

    def scaler(self) -> GradScaler:
        """What keeps float16's gradients from vanishing; does nothing for the other formats."""
        return GradScaler(
            self.device,
            init_scale=LOSS_SCALE,
            growth_interval=2**31 - 1,
            enabled=self.dtype == torch.float16,
        )


def full_precision(device: torch.device) -> Precision:
    """Float32, with which models are evaluated, so that every site and machine says the same."""
    return Precision(device.type, torch.float32)


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """What `precision` means on this device.

    `auto`: bfloat16 on GPUs and CPUs with instructions for it, float16 on other GPUs, else float32.
    ConfigError for float16 on a CPU, which no CPU is faster with.
    """
    if wanted == "auto":
        return Precision(device.type, _built_for(device))
    if wanted == "float16" and device.type == "cpu":
        raise ConfigError(
            "precision is float16, but this site trains on its CPU; set precision=auto, with which "
            "every site takes what its device is built for."
        )
    formats = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    return Precision(device.type, formats[wanted])


def _built_for(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        # It asks of the current device, which need not be this one.
        with nullcontext() if device.index is None else torch.cuda.device(device):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    capabilities = torch.cpu.get_capabilities()
    built = any(capabilities.get(name) for name in _CPU_BFLOAT16)
    return torch.bfloat16 if built else torch.float32


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
