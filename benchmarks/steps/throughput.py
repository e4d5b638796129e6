"""Images a second of steps and of whole rounds, and how busy the device is meanwhile."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.steps.build import fedthaw_step, plan_of, run_config
from benchmarks.steps.footprint import peak_on_gpu
from benchmarks.steps.task import Task
from client.data.dataset import Sample
from client.train.trainer import train_round
from client.workspace import open_workspace, training_samples
from shared.model.network import build_network
from shared.phantoms.hospitals import HOSPITALS, write_hospitals


@dataclass(frozen=True)
class Row:
    """Images a second of steps alone and of a round, the round's busy share, the peak's bytes."""

    step_rate: float
    round_rate: float
    busy: float
    peak: int


def phantoms(folder: Path, task: Task, patients: int) -> tuple[Sample, ...]:
    """The training images of one synthetic hospital, decoded."""
    profile = dataclasses.replace(HOSPITALS[0], patients=patients)
    (site,) = write_hospitals(folder, [profile], image_side=task.side)
    config = run_config(task, ())
    return training_samples(open_workspace({"site": str(site)}, config), config).train


def measure(
    task: Task, width: str, settings: Sequence[str], samples: Sequence[Sample], steps: int
) -> Row:
    """One stage under these settings."""
    step_rate, peak = measure_steps(task, width, settings, steps)
    round_rate, busy = measure_round(task, width, settings, samples)
    return Row(step_rate, round_rate, busy, peak)


def measure_steps(task: Task, width: str, settings: Sequence[str], steps: int) -> tuple[float, int]:
    """Images a second, and the most bytes on the GPU."""
    step = fedthaw_step(task, width, settings)
    step.run()  # moments and kernels are made

    def repeated() -> None:
        for _ in range(steps):
            step.run()

    seconds = seconds_of(repeated, task)
    return steps * task.images / seconds, peak_on_gpu(step.run) if task.device == "cuda" else 0


def measure_round(
    task: Task, width: str, settings: Sequence[str], samples: Sequence[Sample]
) -> tuple[float, float]:
    """Images a second, and the share of the time in which the GPU is busy."""
    config = run_config(task, settings)
    plan = plan_of(width, config)
    model = build_network(task.backbone, config.dropout).to(task.device)

    def run() -> None:
        train_round(model, samples, plan, config, stream="benchmark", moments={})

    run()
    return len(samples) / seconds_of(run, task), busy_share(run, task)


def seconds_of(run: Callable[[], object], task: Task) -> float:
    if task.device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    if task.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def busy_share(run: Callable[[], object], task: Task) -> float:
    """The share of the time in which the device does something, from the profiler's record."""
    on_gpu = task.device == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as record:
        seconds = seconds_of(run, task)
    device = "CUDA" if on_gpu else "CPU"
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in record.events() or ()
        if event.device_type.name == device
    )
    busy, until = 0.0, float("-inf")
    for begin, end in spans:
        busy += max(0.0, end - max(begin, until))
        until = max(until, end)
    return busy / 1e6 / seconds  # the profiler counts microseconds
