"""Peak memory of a training step at each stage, and what each means of lowering it costs.

The reference is full fine-tuning in a plain float32 loop. Each row is measured in a process of its
own. Kept for backward is what autograd holds from the forward to the backward pass: activations,
and in mixed precision the weights' copies too. The peak is all that torch holds at one time
(weights, gradients, moments, activations, temporaries).

    .venv/bin/python -m benchmarks.memory [--image-size 128 224] [--device cuda]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from benchmarks.machine import name_of_device, peak_resident
from benchmarks.steps.task import WIDTHS, Task

BASE = ("precision=float32", "recompute=false")
MEANS = ("precision=bfloat16", "recompute=true")
AIM, AIM_AT = 3.0, "layer2"


@dataclass(frozen=True)
class Footprint:
    """Bytes, and seconds a step; `resident` is what the process grew by, None on a GPU."""

    kept: int
    peak: int
    resident: int | None
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--image-size", type=int, nargs="+", default=[128, 224])
    add("--batch-size", type=int, default=8)
    add("--backbone", default="resnet50")
    add("--device", default="cpu", choices=("cpu", "cuda"))
    add("--steps", type=int, default=5, help="timed steps; their median counts")
    add("--means", nargs="*", default=MEANS, metavar="KEY=VALUE",
        help="run settings that save memory, tried one by one and together")  # fmt: skip
    add("--base", nargs="*", default=BASE, metavar="KEY=VALUE",
        help="settings of every FedThaw row, in place of %(default)s")  # fmt: skip
    options = parser.parse_args()
    print(f"{name_of_device(options.device)}, Python {platform.python_version()}, torch "
          f"{version('torch')}; {options.backbone}, batch {options.batch_size}\n")  # fmt: skip
    for side in options.image_size:
        task = Task(options.backbone, side, options.batch_size, options.device)
        print_table(task, options.base, options.means, options.steps)


def print_table(task: Task, base: Sequence[str], means: Sequence[str], steps: int) -> None:
    """Rows: the reference, then every stage without and with each of the means; then the aim."""
    print(f"{task.side} px:\n")
    print("| trains from | how | kept for backward, MB | times less | peak, MB | times less | "
          "resident, MB | seconds a step |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    reference = in_own_process(task, None, (), steps)
    print_row("stem", "plain float32 (reference)", reference, reference)
    arms = {"FedThaw, float32": tuple(base)}
    arms |= {f"FedThaw, {one}": (*base, one) for one in means}
    if len(means) > 1:
        arms["FedThaw, all of these"] = (*base, *means)
    measured: dict[tuple[str, str], Footprint] = {}
    for width in WIDTHS:
        for name, settings in arms.items():
            measured[width, name] = in_own_process(task, width, settings, steps)
            print_row(width, name, measured[width, name], reference)
    last = list(arms)[-1]
    print_aim(last, measured[AIM_AT, last], reference)


def print_row(width: str, name: str, measured: Footprint, reference: Footprint) -> None:
    resident = "" if measured.resident is None else f"{measured.resident / 1e6:,.0f}"
    cells = [
        width,
        name,
        f"{measured.kept / 1e6:,.1f}",
        ratio(reference.kept, measured.kept),
        f"{measured.peak / 1e6:,.0f}",
        ratio(reference.peak, measured.peak),
        resident,
        f"{measured.seconds:.3f}",
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


def print_aim(name: str, measured: Footprint, reference: Footprint) -> None:
    """By what is kept for backward; the peak has the weights, gradients and moments in it too."""
    times = reference.kept / measured.kept
    reached = "reached" if times >= AIM else "not reached"
    print(f"\nAim: {AIM:g} times less kept for the backward pass where {AIM_AT} trains, {name}: "
          f"{reached}, {times:.1f} times; the whole peak "
          f"{ratio(reference.peak, measured.peak)} times.\n", flush=True)  # fmt: skip


def ratio(reference: int, measured: int) -> str:
    return f"{reference / measured:.1f}" if measured else ""


def in_own_process(
    task: Task, width: str | None, settings: Sequence[str], steps: int
) -> Footprint:  # fmt: skip
    """What `measure` gives in a process that has done nothing else."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (task, width, tuple(settings), steps))


def measure(task: Task, width: str | None, settings: tuple[str, ...], steps: int) -> Footprint:
    """One row; without a width the reference."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # the profiler tells of each start and stop
    from benchmarks.steps.build import fedthaw_step, plain_step
    from benchmarks.steps.footprint import kept_for_backward, peak_on_cpu, peak_on_gpu

    before = peak_resident()
    step = plain_step(task) if width is None else fedthaw_step(task, width, settings)
    step.run()  # moments and kernels are made
    seconds = statistics.median(timed(step.run, task.device) for _ in range(steps))
    grown = peak_resident() - before
    kept = kept_for_backward(step)
    if task.device == "cuda":
        return Footprint(kept, peak_on_gpu(step.run), None, seconds)
    return Footprint(kept, peak_on_cpu(step), grown, seconds)


def timed(run: Callable[[], object], device: str) -> float:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
