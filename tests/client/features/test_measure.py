"""Timing: a GPU has done its work before the clock is read."""

from __future__ import annotations

import pytest
import torch

from client.features.measure import timed


@pytest.mark.parametrize("name", ["cpu", "cuda:1"])
def test_the_clock_is_read_once_the_device_itself_has_done_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Of two GPUs the second; the first one is what PyTorch would wait for."""
    waited: list[torch.device] = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.synchronize", lambda device=None: waited.append(device))
    device = torch.device(name)
    seconds, result = timed(lambda: len(waited), device)
    assert (result, waited) == (0, [device] if device.type == "cuda" else [])
    assert seconds >= 0
