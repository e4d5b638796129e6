"""What a benchmark says of the machine, and what its process takes of it."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def cpu() -> str:
    """The processor's name, as far as the system tells."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def name_of_device(device: str) -> str:
    """The GPU's name, or the processor's with its cores."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    return f"{cpu()}, {os.cpu_count()} cores"


def peak_resident() -> int:
    """The most bytes that this process has held in memory."""
    return resident("self", "VmHWM")


def resident(process: int | str, line: str) -> int:
    """Bytes in memory of a process: `VmRSS` now, `VmHWM` at its peak."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return next(int(one.split()[1]) for one in lines if one.startswith(line)) * 1024
