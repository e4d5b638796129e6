"""What taking the sites' updates one by one costs: speed compared with memory copies, and memory.

A whole ResNet-50's worth of float32 from every site. The running mean works in one thread, and so
does what it is compared with. Memory is that of a process of its own for each row, beyond what it
holds before the round; speed is the best of several passes.

    .venv/bin/python -m benchmarks.aggregation [--sites 4 32] [--strategies fedavg fedmedian]
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

from benchmarks.machine import name_of_device, peak_resident
from server.aggregation.mean import RunningMean
from server.aggregation.strategy import build_aggregator
from shared.settings.config import RunConfig
from shared.wire.arrays import Arrays

PASSES = 7
IN_MEMORY = "all at once, in memory"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=int, nargs="+", default=[4, 32, 256])
    parser.add_argument(
        "--strategies", nargs="+", default=["fedavg", "fedadam"],
        help="fedmedian, fedtrimmedavg and krum keep all updates on disk: 0.1 GB a site",
    )  # fmt: skip
    options = parser.parse_args()
    print(f"{name_of_device('cpu')}, Python {platform.python_version()}, "
          f"numpy {np.__version__}, flwr {version('flwr')}; ResNet-50, "
          f"{sum(np.prod(s) for s in shapes().values()) / 1e6:.1f} M float32\n")  # fmt: skip
    print_speed()
    print_rounds([IN_MEMORY, *options.strategies], options.sites)


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
    """Seconds for one site's update, and its memory traffic, compared with what the memory can do.

    Bytes as in STREAM: what is named is read and written once, and nothing else is counted.
    """
    of = shapes()
    arrays = update(0, of)
    size = sum(array.size for array in arrays.values())
    mean = RunningMean(of)
    sums = {key: np.zeros(shape, np.float32) for key, shape in of.items()}
    one, two, three = np.ones(2**26), np.ones(2**26), np.zeros(2**26)

    def plain() -> None:
        for key, array in arrays.items():
            sums[key] += np.float32(0.3) * array

    print("| one update | seconds | float32 taken, GB/s | memory moved, GB/s |")
    print("|---|---|---|---|")
    rows: list[tuple[str, Callable[[], object], int | None, int]] = [
        ("RunningMean.add", lambda: mean.add(arrays, 321), 4 * size, 36 * size),
        ("`sum += weight * values`, float32", plain, 4 * size, 20 * size),
        ("np.copyto of 0.5 GB", lambda: np.copyto(three, one), None, 2 * one.nbytes),
        ("np.add of 0.5 GB and 0.5 GB", lambda: np.add(one, two, three), None, 3 * one.nbytes),
    ]
    for name, run, taken, moved in rows:
        seconds = best_of(run)
        shown = f"{taken / seconds / 1e9:.2f}" if taken else ""
        print(f"| {name} | {seconds:.3f} | {shown} | {moved / seconds / 1e9:.1f} |")
    print(f"\nRunningMean.result, once a round: {best_of(mean.result):.3f} s\n")


def best_of(run: Callable[[], object]) -> float:
    run()
    seconds = []
    for _ in range(PASSES):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def print_rounds(names: list[str], counts: list[int]) -> None:
    """A whole round by strategy and number of sites; what all updates at once take where they fit.

    Seconds are those of taking the updates and of combining them, without making them.
    """
    of = shapes()
    update_bytes = 4 * sum(int(np.prod(shape)) for shape in of.values())
    print("| a round | sites | seconds | float32 taken, GB/s | peak memory, MB |")
    print("|---|--:|--:|--:|--:|")
    context = multiprocessing.get_context("spawn")
    for name in names:
        for sites in counts:
            if name == IN_MEMORY and (sites + 3) * update_bytes > available_bytes():
                print(f"| {name} | {sites} | does not fit | | |", flush=True)
                continue
            with context.Pool(1) as pool:
                peak, seconds = pool.apply(round_of, (name, sites, of))
            print(f"| {name} | {sites} | {seconds:.1f} | {sites * update_bytes / seconds / 1e9:.2f}"
                  f" | {peak:,.0f} |", flush=True)  # fmt: skip


def available_bytes() -> int:
    """What the system would give without swapping."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def round_of(name: str, sites: int, of: dict[str, tuple[int, ...]]) -> tuple[float, float]:
    """MB beyond those before the round, and seconds; one update is there all along."""
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1  # messages ask for it
    logging.getLogger("flwr").setLevel(logging.WARNING)
    arrays = update(0, of)
    current: dict[str, NDArray[np.float32]] = {k: np.zeros(s, np.float32) for k, s in of.items()}
    with tempfile.TemporaryDirectory() as folder:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak is now's
        before, started = peak_resident(), time.perf_counter()
        if name == IN_MEMORY:
            kept = [{key: array.copy() for key, array in arrays.items()} for _ in range(sites)]
            images = sum(100 + number for number in range(sites))
            for key in of:
                shares = (np.float32((100 + number) / images) for number in range(sites))
                sum(share * one[key] for share, one in zip(shares, kept, strict=True))
        else:
            aggregator = build_aggregator(RunConfig(strategy=name), ())
            with aggregator.begin(1, current, Path(folder)) as collector:
                for number in range(sites):
                    collector.add(f"site {number}", arrays, 100 + number)
                collector.result()
        return (peak_resident() - before) / 1e6, time.perf_counter() - started


if __name__ == "__main__":
    main()
