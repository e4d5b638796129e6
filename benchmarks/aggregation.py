"""What taking the sites' updates one by one costs: speed of the running mean, and memory.

A whole ResNet-50's worth of float32 from every site. Memory is that of a process of its own for
each row, beyond what it holds before the round; speed is the best of several passes.

    .venv/bin/python benchmarks/aggregation.py [--long]
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

from server.aggregation.mean import RunningMean
from server.aggregation.strategy import build_aggregator
from shared.config import RunConfig
from shared.wire.arrays import Arrays

PASSES = 7
IN_MEMORY = "all at once, in memory"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="256 sites as well; takes minutes")
    parser.add_argument("--strategies", nargs="+", default=["fedavg", "fedadam", "fedmedian"])
    options = parser.parse_args()
    print(f"{cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"numpy {np.__version__}, flwr {version('flwr')}; ResNet-50, "
          f"{sum(np.prod(s) for s in shapes().values()) / 1e6:.1f} M float32\n")  # fmt: skip
    print_speed()
    print_memory([IN_MEMORY, *options.strategies], (4, 32, 256) if options.long else (4, 32))


def cpu() -> str:
    """The processor's name, as far as the system tells."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def shapes() -> dict[str, tuple[int, ...]]:
    """All tensors of a ResNet-50 with one output."""
    import torch
    from torchvision.models import resnet50

    with torch.device("meta"):
        network = resnet50(num_classes=1)
    return {k: tuple(v.shape) for k, v in network.state_dict().items() if v.is_floating_point()}


def update(seed: int, of: dict[str, tuple[int, ...]]) -> Arrays:
    """One site's values."""
    generator = np.random.default_rng(seed)
    return {key: generator.standard_normal(shape, np.float32) for key, shape in of.items()}


def print_speed() -> None:
    """Seconds for one site's update, and what it moves through memory."""
    of = shapes()
    arrays = update(0, of)
    size = sum(array.size for array in arrays.values())
    mean = RunningMean(of)
    sums = {key: np.zeros(shape, np.float32) for key, shape in of.items()}
    source, target = np.ones(2**27, np.float32), np.zeros(2**27, np.float32)

    def plain() -> None:
        for key, array in arrays.items():
            sums[key] += np.float32(0.3) * array

    print("| one update | seconds | float32 taken, GB/s | memory moved, GB/s |")
    print("|---|---|---|---|")
    rows: list[tuple[str, Callable[[], object], int, int]] = [
        ("RunningMean.add", lambda: mean.add(arrays, 321), 4 * size, 36 * size),
        ("`sum += weight * values`, float32", plain, 4 * size, 20 * size),
        ("np.copyto, 0.5 GB", lambda: np.copyto(target, source), source.nbytes, 2 * source.nbytes),
    ]
    for name, run, taken, moved in rows:
        seconds = best_of(run)
        print(f"| {name} | {seconds:.3f} | {taken / seconds / 1e9:.1f} | "
              f"{moved / seconds / 1e9:.1f} |")  # fmt: skip
    print(f"\nRunningMean.result, once a round: {best_of(mean.result):.3f} s\n")


def best_of(run: Callable[[], object]) -> float:
    run()
    seconds = []
    for _ in range(PASSES):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def print_memory(names: list[str], counts: tuple[int, ...]) -> None:
    """Peak memory of a round and its seconds, by strategy and number of sites."""
    print(f"| peak memory, MB (seconds) | {' | '.join(f'{n} sites' for n in counts)} |")
    print(f"|---|{'---|' * len(counts)}")
    context = multiprocessing.get_context("spawn")
    for name in names:
        cells = []
        for sites in counts:
            if name == IN_MEMORY and sites > 32:
                cells.append("not tried")
                continue
            with context.Pool(1) as pool:
                peak, seconds = pool.apply(round_of, (name, sites, shapes()))
            cells.append(f"{peak:,.0f} ({seconds:.0f})")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def round_of(name: str, sites: int, of: dict[str, tuple[int, ...]]) -> tuple[float, float]:
    """MB beyond those before the round, and seconds; one update is there all along."""
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1  # messages ask for it
    logging.getLogger("flwr").setLevel(logging.WARNING)
    arrays = update(0, of)
    current: dict[str, NDArray[np.float32]] = {k: np.zeros(s, np.float32) for k, s in of.items()}
    with tempfile.TemporaryDirectory() as folder:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak is now's
        before, started = peak_megabytes(), time.perf_counter()
        if name == IN_MEMORY:
            kept = [{key: array.copy() for key, array in arrays.items()} for _ in range(sites)]
            assert len(kept) == sites
        else:
            aggregator = build_aggregator(RunConfig(strategy=name), ())
            with aggregator.begin(1, current, Path(folder)) as collector:
                for number in range(sites):
                    collector.add(f"site {number}", arrays, 100 + number)
                collector.result()
        return peak_megabytes() - before, time.perf_counter() - started


def peak_megabytes() -> float:
    """This process's most since the kernel was told to begin anew."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


if __name__ == "__main__":
    main()
