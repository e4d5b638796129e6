"""Reading ahead: while a GPU computes, other processes prepare the next batches."""

from __future__ import annotations

import os

import torch

MOST_WORKERS = 4


def loader_workers(device: torch.device) -> int:
    """Processes that prepare batches; none for a CPU, whose cores the training itself needs."""
    if device.type == "cpu":
        return 0
    return max(0, min(MOST_WORKERS, (os.cpu_count() or 1) - 1))
