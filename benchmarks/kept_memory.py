"""A training step with and without keeping the memory that the step before it freed.

All layers train, on one core, in float32; each row is a process of its own.

    .venv/bin/python -m benchmarks.kept_memory --backbone tiny --image-size 32 --batch-size 64
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time

import torch

from benchmarks.machine import name_of_device
from shared.memory import keep_freed_memory
from shared.model.network import build_network

_OUTPUTS = 10


def main() -> None:
    options = _parse()
    if options.keep is not None:
        print(_row(options))
        return
    print(f"{options.backbone}, {options.image_size} px, {name_of_device('cpu')}\n")
    print("| freed memory is | CPU time, ms: best | median | page faults a step | peak, MB |")
    print("|---|---|---|---|---|", flush=True)
    for keep in ("0", "1"):
        own = [sys.executable, "-m", "benchmarks.kept_memory", *sys.argv[1:], "--keep", keep]
        subprocess.run(own, check=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--backbone", default="tiny")
    add("--image-size", type=int, default=32)
    add("--batch-size", type=int, default=64)
    add("--steps", type=int, default=20)
    add("--keep", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _row(options: argparse.Namespace) -> str:
    if options.keep:
        keep_freed_memory()
    torch.set_num_threads(1)
    network = build_network(options.backbone, dropout=0.0, outputs=_OUTPUTS).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    images = torch.randn(options.batch_size, 1, options.image_size, options.image_size)
    classes = torch.arange(options.batch_size) % _OUTPUTS

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(network(images), classes)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    for _ in range(2):
        step()
    before, seconds = _usage().ru_minflt, []
    for _ in range(options.steps):
        began = time.process_time()
        step()
        seconds.append(1000 * (time.process_time() - began))
    faults = (_usage().ru_minflt - before) // options.steps
    kept = "kept" if options.keep else "given back"
    return (
        f"| {kept} | {min(seconds):.1f} | {statistics.median(seconds):.1f} | {faults:,} "
        f"| {_usage().ru_maxrss // 1024:,} |"
    )


def _usage() -> resource.struct_rusage:
    return resource.getrusage(resource.RUSAGE_SELF)


if __name__ == "__main__":
    main()
