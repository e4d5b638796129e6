"""AUROC against bytes: a table and a figure of runs that `benchmarks/pediatric.py --arms` left.

Each folder of runs is one arm and seed, ARM-SEED. Bytes are both ways at all sites, of its
summary.json; AUROCs are of the external cohort, whose evaluation is next to it. A bar is one
standard deviation over the seeds.

    .venv/bin/python -m benchmarks.curve runs/bytes/* --stock 33937 0.803 --picture bytes.svg
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Point:
    """An arm: MB of a run and external AUROCs, one a seed."""

    megabytes: float
    aurocs: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.mean(self.aurocs)

    @property
    def deviation(self) -> float:
        return statistics.stdev(self.aurocs) if len(self.aurocs) > 1 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("runs", type=Path, nargs="+", help="folders named ARM-SEED")
    add("--name", nargs=2, action="append", default=[], metavar=("ARM", "NAME"))
    add("--stock", type=float, nargs=2, metavar=("MB", "AUROC"), help="stock Flower's run")
    add("--picture", type=Path, help="where to draw it, .svg or .png")
    options = parser.parse_args()
    points = read_points(options.runs, dict(options.name))
    if options.stock:
        points["stock Flower"] = Point(options.stock[0], (options.stock[1],))
    print_table(points)
    if options.picture:
        draw(points, options.picture)


def read_points(runs: Sequence[Path], names: Mapping[str, str]) -> dict[str, Point]:
    """The arms, those that transfer least first."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for run in runs:
        arm, _, seed = run.name.rpartition("-")
        if not seed.isdigit() or not (run / "external.json").is_file():
            print(f"{run.name} is left out: it is no finished run named ARM-SEED.")
            continue
        summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
        (cohort,) = json.loads((run / "external.json").read_text(encoding="utf-8"))["cohorts"]
        moved = (summary["bytes"]["down"] + summary["bytes"]["up"]) / 1e6
        found[names.get(arm, arm)].append((moved, cohort["metrics_at_0.5"]["auroc"]))
    points = {
        arm: Point(statistics.mean(moved for moved, _ in one), tuple(auroc for _, auroc in one))
        for arm, one in found.items()
    }
    return dict(sorted(points.items(), key=lambda item: item[1].megabytes))


def print_table(points: Mapping[str, Point]) -> None:
    stock = points.get("stock Flower")
    print("| arm | MB transferred | times fewer than stock | external AUROC | seeds |")
    print("|---|---|---|---|---|")
    for arm, point in points.items():
        fewer = f"{stock.megabytes / point.megabytes:,.1f}" if stock and point != stock else ""
        spread = f" ({point.deviation:.3f})" if len(point.aurocs) > 1 else ""
        print(f"| {arm} | {point.megabytes:,.0f} | {fewer} | {point.mean:.3f}{spread} | "
              f"{len(point.aurocs)} |")  # fmt: skip


def draw(points: Mapping[str, Point], path: Path) -> None:
    """AUROC over MB on a logarithmic scale."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.rcParams.update({"font.size": 9, "svg.hashsalt": "fedthaw", "svg.fonttype": "none"})
    figure, axes = plt.subplots(figsize=(7.6, 3.8), layout="constrained")
    for number, (arm, point) in enumerate(points.items(), start=1):
        colour = "#555555" if arm == "stock Flower" else "#1f5f8b"
        axes.errorbar(point.megabytes, point.mean, yerr=point.deviation or None, fmt="o",
                      color=colour, capsize=3, linewidth=1,
                      label=f"{number}  {arm}, {point.megabytes:,.0f} MB")  # fmt: skip
        axes.annotate(str(number), (point.megabytes, point.mean), xytext=(5, 4),
                      textcoords="offset points", color=colour)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("MB transferred in a run, all sites, both ways")
    axes.set_ylabel("AUROC, external patients")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", frameon=False, handlelength=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
