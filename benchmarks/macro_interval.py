"""How often the CIs of several classes' metrics contain the true value.

    python -m benchmarks.macro_interval --cohorts 400

Invented patients are scored by a softmax of noisy logits, or by cumulative logits of one noisy
grade, or by several labels that share some of their noise, and counted as a site counts them. The
truth is the same metric in unlimited patients. Next to each interval of a mean AUROC are those that
would follow if the AUROCs were independent, and the means of their ends.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean, pstdev

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.classes.results import ClassMetrics, LabelMetrics
from shared.metrics.classes.summary import summarise_counts
from shared.metrics.histogram import bin_of, bin_of_probability

ENDLESS = 200_000
Interval = tuple[float, float]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Design:
    """Patients, the share of each class, and how far a class's own logit lies above the others."""

    kind: str
    patients: int
    shares: tuple[float, ...]
    shift: float
    heavy: bool = False
    """Noise of a t distribution with 3 degrees of freedom, not normal."""

    def __str__(self) -> str:
        classes = ", ".join(f"{share:.0%}" for share in self.shares)
        return f"{self.kind} ({classes}), {self.patients} patients" + ", heavy tails" * self.heavy


DESIGNS = (
    Design("nominal", 100, (1 / 3,) * 3, 1.0),
    Design("nominal", 150, (0.7, 0.2, 0.1), 1.5),
    Design("nominal", 300, (0.2,) * 5, 1.5, heavy=True),
    Design("nominal", 150, (1 / 3,) * 3, 2.5),
    Design("ordinal", 100, (1 / 3,) * 3, 1.0),
    Design("ordinal", 150, (0.6, 0.2, 0.1, 0.1), 1.0),
    Design("ordinal", 300, (0.2,) * 5, 0.7, heavy=True),
    Design("ordinal", 150, (1 / 3,) * 3, 2.5),
    Design("labels", 150, (0.4, 0.2, 0.1), 1.0),
    Design("labels", 300, (0.3,) * 6, 1.5),
)


@dataclass(frozen=True)
class Found:
    """A metric of one cohort with its interval."""

    value: float
    interval: Interval | None


def main() -> None:
    """Print a row for each metric of each design."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cohorts", type=int, default=400, help="of each design")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print("| cohort | metric | true value | contained | width over 3.92 deviations |")
    print("|---|---|---|---|---|")
    for design in DESIGNS:
        truth = measure(design, rng, ENDLESS)
        cohorts = [measure(design, rng, design.patients) for _ in range(options.cohorts)]
        for name, true in truth.items():
            row = _row(true.value, [one[name] for one in cohorts if name in one])
            print(f"| {design} | {name} | {row} |", flush=True)


def measure(design: Design, rng: np.random.Generator, patients: int) -> Mapping[str, Found]:
    """The metrics of one cohort of this design, as far as they are defined, by name."""
    found = dict(_of_labels(design, rng, patients) if design.kind == "labels" else
                 _of_classes(design, rng, patients))  # fmt: skip
    return {name: Found(value, ci) for name, (value, ci) in found.items() if value is not None}


def _of_classes(
    design: Design, rng: np.random.Generator, patients: int
) -> Iterator[tuple[str, tuple[float | None, Interval | None]]]:
    draw = _ordinal if design.kind == "ordinal" else _nominal
    labels = rng.choice(len(design.shares), patients, p=design.shares)
    bins, predicted = draw(design, rng, labels)
    names = [str(one) for one in range(len(design.shares))]
    result = summarise_counts(names, ClassCounts.from_bins(bins, labels, predicted, len(names)))
    assert isinstance(result, ClassMetrics)
    parts = result.cuts if design.kind == "ordinal" else result.classes
    own = [(one.auroc, one.auroc_ci95) for one in parts.values()]
    yield "macro AUROC", (result.auroc, result.auroc_ci95)
    yield from _others(own)
    if design.kind == "ordinal":
        yield "quadratic kappa", (result.kappa_quadratic, result.kappa_quadratic_ci95)
    else:
        yield "Hand-Till AUROC", (result.auroc_one_vs_one, result.auroc_one_vs_one_ci95)
        yield "weighted AUROC", (result.auroc_weighted, result.auroc_weighted_ci95)
        yield "kappa", (result.kappa, result.kappa_ci95)
    yield "balanced accuracy", (result.balanced_accuracy, result.balanced_accuracy_ci95)


def _of_labels(
    design: Design, rng: np.random.Generator, patients: int
) -> Iterator[tuple[str, tuple[float | None, Interval | None]]]:
    size = patients, len(design.shares)
    labels = (rng.random(size) < design.shares).astype(np.int64)
    noise = (rng.normal(size=(patients, 1)) + rng.normal(size=size)) / math.sqrt(2)
    counts = LabelCounts.from_bins(bin_of(noise + design.shift * labels), labels)
    result = summarise_counts([str(one) for one in range(size[1])], counts)
    assert isinstance(result, LabelMetrics)
    yield "macro AUROC", (result.auroc, result.auroc_ci95)
    yield from _others([(one.auroc, one.auroc_ci95) for one in result.labels.values()])


def _others(
    own: list[tuple[float | None, Interval | None]],
) -> Iterator[tuple[str, tuple[float | None, Interval | None]]]:
    """The mean AUROC with two other intervals, of AUROCs each with its own."""
    held = [(area, ci) for area, ci in own if area is not None and ci is not None]
    area = fmean(area for area, _ in held)
    ends = fmean(ci[0] for _, ci in held), fmean(ci[1] for _, ci in held)
    half = math.sqrt(sum(((ci[1] - ci[0]) / 2) ** 2 for _, ci in held)) / len(held)
    yield "- if they were independent", (area, (area - half, area + half))
    yield "- means of the ends", (area, ends)


def _nominal(
    design: Design, rng: np.random.Generator, labels: Integers
) -> tuple[Integers, Integers]:
    logits = _noise(design, rng, (len(labels), len(design.shares)))
    logits[np.arange(len(labels)), labels] += design.shift
    shares = softmax(logits, axis=1)
    return bin_of_probability(shares), np.asarray(shares.argmax(axis=1))


def _ordinal(
    design: Design, rng: np.random.Generator, labels: Integers
) -> tuple[Integers, Integers]:
    grade = design.shift * labels + _noise(design, rng, (len(labels),))
    cuts = design.shift * (np.arange(len(design.shares) - 1) + 0.5)
    logits = grade[:, None] - cuts
    return bin_of(logits), np.asarray((logits > 0).sum(axis=1))


def _noise(design: Design, rng: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.float64]:
    draw: Callable[..., NDArray[np.float64]] = rng.standard_normal
    return rng.standard_t(3, size) if design.heavy else draw(size)


def _row(true: float, found: list[Found]) -> str:
    held = [(one.value, one.interval) for one in found if one.interval is not None]
    contained = fmean(low <= true <= high for _, (low, high) in held)
    width = fmean(high - low for _, (low, high) in held)
    deviation = pstdev(value for value, _ in held)
    return f"{true:.3f} | {contained:.1%} | {width / (3.92 * deviation):.2f}"


if __name__ == "__main__":
    main()
