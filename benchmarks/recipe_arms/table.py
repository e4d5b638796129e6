"""The recipe benchmark's report, in Markdown."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from importlib.metadata import version

from benchmarks.machine import cpu
from benchmarks.recipe_arms.job import Result

AIMS = (4.0, 2.0)
"""Times as fast as stock Flower and as the plain recipe, everything on."""


def print_machine(words: str) -> None:
    print(f"{cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"torch {version('torch')}, flwr {version('flwr')}; {words}\n")  # fmt: skip


def print_table(arms: dict[str, list[Result]], stock: str) -> None:
    """A row an arm; the ratios say how many times less than stock Flower."""
    print("| arm | runs | training, s | times as fast as stock | process, s | MB moved | "
          "times fewer than stock | MB in training messages | external AUROC |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for name, runs in arms.items():
        cells = [
            str(len(runs)),
            spread([r.trained.seconds for r in runs], 0),
            _ratio(arms.get(stock), runs, seconds),
            spread([r.total_seconds for r in runs], 0),
            f"{moved(runs) / 1e6:,.0f}",
            _ratio(arms.get(stock), runs, moved),
            f"{statistics.mean(r.trained.training_bytes for r in runs) / 1e6:,.0f}",
            spread([r.auroc for r in runs], 3),
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def print_conclusions(
    arms: dict[str, list[Result]], ours: Sequence[str], off: str, others: Sequence[str]
) -> None:
    """The accuracy's difference over paired seeds, and the aims with what was reached.

    `ours` are arms with everything on; `others` stock and plain.
    """
    for on in ours:
        if on in arms and off in arms:
            print(f"\n{on} less {off}, external AUROC: {difference(arms[on], arms[off])}")
    for other, aim in zip(others, AIMS, strict=True):
        for on in ours:
            if on in arms and other in arms:
                times = seconds(arms[other]) / seconds(arms[on])
                reached = "reached" if times >= aim else "not reached"
                print(f"\nAim of {on}: at least {aim:g} times as fast as {other}: "
                      f"{reached}, {times:.2f} times.")  # fmt: skip


def difference(ours: Sequence[Result], others: Sequence[Result]) -> str:
    """Mean of the seeds' differences with its 95 % t interval."""
    other = {result.job.seed: result.auroc for result in others}
    pairs = [r.auroc - other[r.job.seed] for r in ours if r.job.seed in other]
    if len(pairs) < 2:
        return f"{pairs[0]:+.3f}, one seed, hence no interval" if pairs else "no seed in common"
    from scipy import stats

    mean = statistics.mean(pairs)
    half = stats.t.ppf(0.975, len(pairs) - 1) * statistics.stdev(pairs) / len(pairs) ** 0.5
    return (
        f"{mean:+.3f}, 95 % t interval {mean - half:+.3f} to {mean + half:+.3f}, {len(pairs)} seeds"
    )


def seconds(runs: Sequence[Result]) -> float:
    return statistics.mean(result.trained.seconds for result in runs)


def moved(runs: Sequence[Result]) -> float:
    return statistics.mean(result.trained.all_bytes for result in runs)


def _ratio(
    stock: Sequence[Result] | None,
    runs: Sequence[Result],
    measure: Callable[[Sequence[Result]], float],
) -> str:
    if not stock or measure(runs) == 0:
        return ""
    return f"{measure(stock) / measure(runs):.1f}"


def spread(values: Sequence[float], digits: int) -> str:
    """Mean, and standard deviation where there are several."""
    mean = f"{statistics.mean(values):,.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ({statistics.stdev(values):.{digits}f})"
