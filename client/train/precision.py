"""The compute dtype of a site; weights, moments and evaluation stay in float32."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.amp import GradScaler

from shared.errors import ConfigError

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
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    capabilities = torch.cpu.get_capabilities()
    built = any(capabilities.get(name) for name in _CPU_BFLOAT16)
    return torch.bfloat16 if built else torch.float32
