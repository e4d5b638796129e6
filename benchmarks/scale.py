"""How a simulation grows with its sites: seconds, memory and disk of one process.

Whole federations in the engine behind `fedthaw simulate`, each in a process of its own, with the
smallest network on tiny phantoms, so that what is measured is the work around the training. Rounds
count from the second on; starting is all until the first round, reading every image included.

    .venv/bin/python -m benchmarks.scale [--sites 4 16] [--rounds 3]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import shutil
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.machine import name_of_device, peak_resident
from server.simulation.inprocess import simulate_in_process
from shared.phantoms.hospitals import MARK, SITE_TOML, HospitalProfile, write_hospitals
from shared.run.events import Event, RoundFinished, RoundStarted, RunStarted, listening
from shared.settings.config import RunConfig

SIDE = 32
PATTERN = HospitalProfile("pattern", 10, 0, 0.5, (1.0, 0.0, 0.0), "labels.csv", "DX", "MONOCHROME2",
                          12, False, False, window=True, contrast=0.9, gamma=1.0,
                          shape=(1.0, 1.0))  # fmt: skip
SCHEDULES = ("probe", "full")


@dataclass(frozen=True)
class Measured:
    """One federation; memory in MB, disk in kB of a site before the final evaluation."""

    start: float
    round: float
    peak: float
    state: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=int, nargs="+", default=[4, 16, 64, 250, 1000])
    parser.add_argument("--rounds", type=int, default=3, help="at least 2")
    parser.add_argument("--backbone", default="micro")
    given = parser.parse_args()
    print(f"{name_of_device('cpu')}, Python {platform.python_version()}, "
          f"torch {version('torch')}, flwr {version('flwr')}, fedthaw {version('fedthaw')}; "
          f"{given.backbone}, weights=random, {PATTERN.patients} images of {SIDE} px a site, "
          "one thread\n")  # fmt: skip
    print("| sites | schedule | start, s | s a round | ms a site and round | peak MB "
          "| kB kept a site |")  # fmt: skip
    print("|--:|---|--:|--:|--:|--:|--:|")
    context = multiprocessing.get_context("spawn")
    for count in given.sites:
        for schedule in SCHEDULES:
            with tempfile.TemporaryDirectory() as place, context.Pool(1) as pool:
                work = (Path(place), count, schedule, given.rounds, given.backbone)
                one = pool.apply(measure, work)
            print(f"| {count:,} | {schedule} | {one.start:.2f} | {one.round:.2f} "
                  f"| {1000 * one.round / count:.1f} | {one.peak:,.0f} | {one.state:,.0f} |",
                  flush=True)  # fmt: skip


def measure(place: Path, count: int, schedule: str, rounds: int, backbone: str) -> Measured:
    """Run one federation in this process."""
    folders = write_sites(place, count)
    config = RunConfig(
        backbone=backbone, weights="random", image_size=SIDE, schedule=schedule, threads=1,
        probe_rounds=rounds if schedule == "probe" else 0, rounds=rounds, min_sites=count,
        sites=os.pathsep.join(map(str, folders)), out=str(place / "run"),
    )  # fmt: skip
    times: dict[str, float] = {}
    kept = 0.0

    def hear(event: Event) -> None:
        nonlocal kept
        match event:
            case RunStarted():
                times["ready"] = time.perf_counter()
            case RoundStarted(plan) if plan.round == 2:
                times["second"] = time.perf_counter()
            case RoundFinished(number, last) if number == last:
                times["end"], measured = time.perf_counter(), last - 1
                times["round"] = (times["end"] - times["second"]) / measured
                kept = size_of(folders[-1] / "cache" / "rounds")

    begun = time.perf_counter()
    with listening(hear):
        simulate_in_process(config, count)
    return Measured(times["ready"] - begun, times["round"], peak_resident() / 1e6, kept)


def write_sites(place: Path, count: int) -> list[Path]:
    """So many folders with the same images under other names."""
    (pattern,) = write_hospitals(place, [PATTERN], image_side=SIDE)
    folders = [place / f"site{number:04d}" for number in range(count)]
    for folder in folders:
        shutil.copytree(pattern, folder, copy_function=os.link)
        (folder / "site.toml").unlink()
        text = MARK + SITE_TOML.format(name=folder.name, labels=PATTERN.labels)
        (folder / "site.toml").write_text(text, encoding="utf-8")
    return folders


def size_of(folder: Path) -> float:
    """Kilobytes of all files in it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e3


if __name__ == "__main__":
    main()
