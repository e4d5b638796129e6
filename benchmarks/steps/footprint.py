"""What a training step holds in memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile

from benchmarks.steps.build import Step
from client.train.activations.quantised import Quantised
from client.train.activations.slabs import SIZE as SLAB

CPU_MEMORY = 0
"""The profiler's number of the device type."""


class _Kept:
    """What is kept for the backward pass; it leaves the account when autograd lets go of it."""

    def __init__(self, held: Tensor | Quantised, account: Account) -> None:
        self.held, self._account = held, account
        tensors = (held,) if isinstance(held, Tensor) else (held.codes, held.low, held.step)
        spans = [_span(tensor) for tensor in tensors]
        self._places = [place for place, _ in spans]
        for place, size in spans:
            account.enter(place, size)

    def __del__(self) -> None:
        for place in self._places:
            self._account.leave(place)


def _span(tensor: Tensor) -> tuple[int, int]:
    """Where it lies and how many bytes are held for it; of a slab its own part alone."""
    storage = tensor.untyped_storage()
    if storage.nbytes() == SLAB:
        return tensor.data_ptr(), tensor.nbytes
    return storage.data_ptr(), storage.nbytes()


class Account:
    """Distinct storages that are kept at one time, and the most that there were."""

    def __init__(self, excluded: set[int]) -> None:
        self._excluded = excluded
        self._holders: dict[int, int] = {}
        self._bytes: dict[int, int] = {}
        self.most = 0

    def enter(self, place: int, size: int) -> None:
        if place in self._excluded:
            return
        self._holders[place] = self._holders.get(place, 0) + 1
        self._bytes[place] = size
        self.most = max(self.most, sum(self._bytes.values()))

    def leave(self, place: int) -> None:
        if place in self._holders:
            self._holders[place] -= 1
            if self._holders[place] == 0:
                del self._holders[place], self._bytes[place]


def kept_for_backward(step: Step) -> int:
    """Bytes that autograd keeps from the forward to the backward pass, the weights excluded.

    In mixed precision the weights' copies in the other format are in it. Of a block that is
    recomputed it is the input; what the second forward pass holds is in the peak alone.
    """
    step.optimizer.zero_grad()  # else activations may lie where the last gradients lay
    account = Account({tensor.untyped_storage().data_ptr() for tensor in step.held()})

    def counted(pack: Callable[[Tensor], Any], unpack: Callable[[Any], Tensor]) -> Any:
        return saved_tensors_hooks(
            lambda tensor: _Kept(pack(tensor), account), lambda kept: unpack(kept.held)
        )

    # Of hooks within hooks autograd calls the inner ones alone.
    with (
        patch("client.train.activations.keep.saved_tensors_hooks", counted),
        counted(lambda tensor: tensor, lambda held: held),
    ):
        step.run()
    return account.most


def peak_on_cpu(step: Step) -> int:
    """The most bytes of tensors on the CPU during a step: what lives on and what it allocates.

    From the allocator's own record, which knows nothing of what was there before: the last step's
    gradients are dropped first. oneDNN's scratch space is not in it.
    """
    step.optimizer.zero_grad()
    held = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in step.held()}
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step.run()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    memory = [event for event in events if event.get("name") == "[memory]"]
    level = most = 0
    for event in sorted(memory, key=lambda event: float(event["ts"])):
        if event["args"]["Device Type"] == CPU_MEMORY:
            level += event["args"]["Bytes"]
            most = max(most, level)
    return sum(held.values()) + most


def peak_on_gpu(run: Callable[[], object]) -> int:
    """The most bytes that PyTorch held on the GPU while this ran."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated())
