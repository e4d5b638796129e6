"""Peak memory of a training step at each stage, and what each means of lowering it costs.

The reference is full fine-tuning in a plain float32 loop. Each row is measured in a process of its
own. Kept for backward is what autograd holds from the forward to the backward pass: activations,
and in mixed precision the weights' copies too. The peak is all that torch holds at one time
(weights, gradients, moments, activations, temporaries). The process is the most that it had in
memory (VmHWM), some 320 MB of imports included; on a GPU that is left out.

    .venv/bin/python -m benchmarks.memory [--image-size 128 224] [--device cuda]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from benchmarks.machine import name_of_device, peak_resident
from benchmarks.steps.task import WIDTHS, Task

BASE = ("precision=float32",)
MEANS = (
    "activations=recompute",
    "activations=int8",
    "activations=int4",
    "precision=bfloat16",
    "precision=bfloat16+activations=recompute",
    "precision=bfloat16+activations=int4",
)
AIM, AIM_AT = 3.1, "layer2"


@dataclass(frozen=True)
class Footprint:
    """Bytes, and seconds a step; `process` is the most that it had in memory, 0 on a GPU."""

    kept: int
    peak: int
    process: int
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
        help="run settings that save memory, tried one by one; + joins several")  # fmt: skip
    add("--widths", nargs="*", default=WIDTHS, choices=WIDTHS, help="what trains")
    add("--base", nargs="*", default=BASE, metavar="KEY=VALUE",
        help="settings of every FedThaw row, in place of %(default)s")  # fmt: skip
    add("--process-alone", action="store_true", help="half the steps: without kept and peak")
    options = parser.parse_args()
    print(f"{name_of_device(options.device)}, Python {platform.python_version()}, torch "
          f"{version('torch')}; {options.backbone}, batch {options.batch_size}\n")  # fmt: skip
    for side in options.image_size:
        task = Task(options.backbone, side, options.batch_size, options.device)
        print_table(task, options)


def print_table(task: Task, options: argparse.Namespace) -> None:
    """Rows: the reference, then every stage without and with each of the means; then the aim."""
    print(f"{task.side} px:\n")
    print("| trains from | how | kept for backward, MB | times less | peak, MB | times less | "
          "process, MB | times less | seconds a step |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    quick = options.process_alone
    reference = in_own_process(task, None, (), options.steps, quick)
    print_row("stem", "plain float32 (reference)", reference, reference)
    arms = {"FedThaw, float32": tuple(options.base)}
    arms |= {f"FedThaw, {one}": (*options.base, *one.split("+")) for one in options.means}
    at_aim: dict[str, Footprint] = {}
    for width in options.widths:
        for name, settings in arms.items():
            measured = in_own_process(task, width, settings, options.steps, quick)
            print_row(width, name, measured, reference)
            if width == AIM_AT:
                at_aim[name] = measured
    print_aim(at_aim, reference)


def print_row(width: str, name: str, measured: Footprint, reference: Footprint) -> None:
    cells = [
        width,
        name,
        f"{measured.kept / 1e6:,.1f}" if measured.kept else "",
        ratio(reference.kept, measured.kept),
        f"{measured.peak / 1e6:,.0f}" if measured.peak else "",
        ratio(reference.peak, measured.peak),
        f"{measured.process / 1e6:,.0f}" if measured.process else "",
        ratio(reference.process, measured.process),
        f"{measured.seconds:.3f}",
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


def print_aim(at_aim: Mapping[str, Footprint], reference: Footprint) -> None:
    """By the whole process, on a GPU by PyTorch's peak."""
    for name, measured in at_aim.items():
        of, to = (
            (reference.process, measured.process)
            if measured.process
            else (reference.peak, measured.peak)
        )
        reached = "reached" if of >= AIM * to else "not reached"
        print(f"Aim: {AIM:g} times less where {AIM_AT} trains, {name}: {reached}, "
              f"{of / to:.2f} times.", flush=True)  # fmt: skip
    print(flush=True)


def ratio(reference: int, measured: int) -> str:
    return f"{reference / measured:.2f}" if measured else ""


def in_own_process(
    task: Task, width: str | None, settings: Sequence[str], steps: int, quick: bool
) -> Footprint:  # fmt: skip
    """What `measure` gives in a process that has done nothing else."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (task, width, tuple(settings), steps, quick))


def measure(
    task: Task, width: str | None, settings: tuple[str, ...], steps: int, quick: bool
) -> Footprint:  # fmt: skip
    """One row; without a width the reference."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # the profiler tells of each start and stop
    from benchmarks.steps.build import fedthaw_step, plain_step
    from benchmarks.steps.footprint import kept_for_backward, peak_on_cpu, peak_on_gpu

    step = plain_step(task) if width is None else fedthaw_step(task, width, settings)
    step.run()  # moments and kernels are made
    seconds = statistics.median(timed(step.run, task.device) for _ in range(steps))
    process = peak_resident()
    if quick:
        return Footprint(0, 0, process, seconds)
    kept = kept_for_backward(step)
    if task.device == "cuda":
        return Footprint(kept, peak_on_gpu(step.run), 0, seconds)
    return Footprint(kept, peak_on_cpu(step), process, seconds)


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
