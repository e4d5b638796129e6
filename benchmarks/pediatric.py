"""What a hospital gains by joining: federated, alone, pooled and without pretraining.

Runs the product's own commands on the four paediatric sites and evaluates each final model on the
external cohort. Runs that are finished are not repeated, so it can be interrupted.

    .venv/bin/python benchmarks/pediatric.py --data ../shared/data/pediatric \
        --weights ../shared/weights/cxr-resnet50-pediatric.safetensors --out runs/pediatric

With `--arms` it compares settings of the federated run instead, such as

    --image-size 64 --arms activations=exact activations=int8 update-dtype=int8+update-rank=4
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

SITES = ("north", "east", "south", "west")
UNFIT = str.maketrans(" /", "--", ",")
"""Of an arm's name in that of its folder."""
FEDTHAW = Path(sys.executable).parent / "fedthaw"


@dataclass(frozen=True)
class Arm:
    """One way of training: which sites, with which weights, pooled or federated."""

    name: str
    sites: tuple[str, ...]
    weights: str
    pooled: bool = False
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """One run's pooled validation metrics, external metrics and costs."""

    validation: dict[str, Any]
    external: dict[str, Any]
    summary: dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/pediatric"))
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs side by side")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of all runs")
    parser.add_argument("--arms", nargs="*", metavar="KEY=VALUE", help="+ joins several settings")
    parser.add_argument("--rows", nargs="*", metavar="NAME", help="of the table without --arms")
    options = parser.parse_args()
    arms = [
        Arm("federated", SITES, options.weights),
        Arm("pooled in one place", SITES, options.weights, pooled=True),
        *(Arm(f"{site} alone", (site,), options.weights) for site in SITES),
        Arm("federated, weights=random", SITES, "random"),
    ]
    if options.rows:
        arms = [arm for arm in arms if arm.name in options.rows]
    if options.arms:
        arms = [Arm(a, SITES, options.weights, settings=tuple(a.split("+"))) for a in options.arms]
    with ThreadPoolExecutor(options.jobs) as pool:
        futures = {
            (arm.name, seed): pool.submit(run, arm, seed, options)
            for seed in range(options.seeds)
            for arm in arms
        }
    results = {
        arm.name: [futures[arm.name, seed].result() for seed in range(options.seeds)]
        for arm in arms
    }
    print_table(results, options)


def run(arm: Arm, seed: int, options: argparse.Namespace) -> Result:
    """One run and its external evaluation, unless both are on disk already."""
    folder: Path = options.out / f"{arm.name.translate(UNFIT)}-{seed}"
    external = folder / "external.json"
    if not (folder / "summary.json").exists():
        resume = ["--resume"] if (folder / "config.json").exists() else []
        sites = [] if resume else [str(options.data / site) for site in arm.sites]
        settings = [f"weights={arm.weights}", f"image-size={options.image_size}", f"seed={seed}"]
        settings.append(f"threads={max(1, (os.cpu_count() or 1) // options.jobs)}")
        settings += [*options.set, *arm.settings]
        words = [word for setting in settings for word in ("--set", setting)]
        call("simulate", *sites, *words, "--out", str(folder), *resume,
             *(["--pool"] if arm.pooled and not resume else []))  # fmt: skip
    if not external.exists():
        text = call("evaluate", str(folder), str(options.data / "external"), "--json")
        external.write_text(text, encoding="utf-8")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    (cohort,) = json.loads(external.read_text(encoding="utf-8"))["cohorts"]
    return Result(summary["pooled"], cohort["metrics_at_0.5"], summary)


def call(*words: str) -> str:
    """Run `fedthaw`, its progress on this terminal, and return what it printed."""
    print("fedthaw", *words, file=sys.stderr, flush=True)
    done = subprocess.run([str(FEDTHAW), *words], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def print_table(results: dict[str, list[Result]], options: argparse.Namespace) -> None:
    """Mean and deviation over seeds, as Markdown."""
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, "
          f"torch {version('torch')}, flwr {version('flwr')}; {options.image_size} px, "
          f"{options.seeds} seeds: mean (SD)\n")  # fmt: skip
    print("| arm | external AUROC | external balanced accuracy | validation AUROC | MB moved | s |")
    print("|---|---|---|---|---|---|")
    for name, runs in results.items():
        moved = [(r.summary["bytes"]["down"] + r.summary["bytes"]["up"]) / 1e6 for r in runs]
        cells = [
            spread([r.external["auroc"] for r in runs]),
            spread([r.external["balanced_accuracy"] for r in runs]),
            spread([r.validation["auroc"] for r in runs]),
            f"{statistics.mean(moved):,.0f}",
            f"{statistics.mean(r.summary['seconds']['total'] for r in runs):.0f}",
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3f} ({deviation:.3f})"


if __name__ == "__main__":
    main()
