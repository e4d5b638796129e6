"""How often the CI of a difference of mean AUROCs contains the true difference.

    python -m benchmarks.macro_difference --cohorts 1000

Invented patients are scored twice, with noise that both scorings share in part, and counted
and compared as in a study: of several classes, of ordered ones, and of labels of which some are
missing. The truth is the difference in unlimited patients; with equal scorings it is zero, and a
p-value below 0.05 is a false alarm.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from shared.metrics.classes.paired import (
    NEITHER,
    Integers,
    compare_means,
    mean_area,
    sums_of_repeats,
)
from shared.metrics.delong import PairedComparison, paired_comparison
from shared.metrics.histogram import Histogram, bin_of

ENDLESS = 200_000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """Patients, shares of the classes or labels, and how far A and B lift what is true."""

    kind: str
    patients: int
    shares: tuple[float, ...]
    lifts: tuple[float, float]

    def __str__(self) -> str:
        shares = ", ".join(f"{share:.0%}" for share in self.shares)
        equal = "equal" if self.lifts[0] == self.lifts[1] else "unequal"
        return f"{self.kind} ({shares}), {self.patients} patients, {equal}"


DESIGNS = tuple(
    Design(kind, patients, shares, (1.2, other))
    for kind, patients, shares in (
        ("classes", 100, (1 / 3,) * 3),
        ("classes", 300, (0.55, 0.2, 0.1, 0.1, 0.05)),
        ("ordinal", 100, (1 / 3,) * 3),
        ("ordinal", 300, (0.55, 0.25, 0.15, 0.05)),
        ("labels", 100, (0.4, 0.2)),
        ("labels", 300, (0.3,) * 6),
    )
    for other in (1.2, 0.8)
)


def main() -> None:
    """Print a row for each design."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cohorts", type=int, default=1000, help="of each design")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print("| cohort | true difference | contained | p < 0.05 | error over deviation |")
    print("|---|---|---|---|---|")
    for design in DESIGNS:
        equal = design.lifts[0] == design.lifts[1]
        true = 0.0 if equal else compare(design, rng, ENDLESS).difference
        found = [compare(design, rng, design.patients) for _ in range(options.cohorts)]
        print(f"| {design} | {true:+.3f} | {_row(found, true)} |", flush=True)


def _row(found: Sequence[PairedComparison], true: float) -> str:
    held = [one for one in found if one.ci95 is not None]
    inside = fmean(one.ci95[0] <= true <= one.ci95[1] for one in held if one.ci95)
    alarms = fmean(one.p is not None and one.p < 0.05 for one in held)
    errors = fmean(one.standard_error or 0.0 for one in held)
    ratio = errors / pstdev(one.difference for one in held)
    return f"{inside:.1%} | {alarms:.1%} | {ratio:.2f}"


def compare(design: Design, rng: np.random.Generator, patients: int) -> PairedComparison:
    """A against B in one cohort of this design."""
    sides, scorings = draw(design, rng, patients)
    a, b = (bin_of(one) for one in scorings)
    of_a, of_b = (contrasts_of(one, sides) for one in (a, b))
    error = compare_means(of_a, of_b, sums_of_repeats([a], [b], sides, [of_a], [of_b]))
    area_a, area_b = mean_area(of_a), mean_area(of_b)
    assert area_a is not None
    assert area_b is not None
    return paired_comparison(area_a, area_b, area_a - area_b, error)


def draw(
    design: Design, rng: np.random.Generator, patients: int
) -> tuple[Integers, tuple[Floats, Floats]]:
    """Sides (1, 0, NEITHER) and the logits under A and B, all (patients, scores)."""
    classes = len(design.shares)
    if design.kind == "labels":
        present = (rng.random((patients, classes)) < design.shares).astype(np.int64)
        missing = rng.random(present.shape) < 0.2
        noise = rng.normal(size=(patients, 1)), rng.normal(size=(patients, classes))
        lifted = [lift * present + sum(noise) / 2 for lift in design.lifts]
        own = [one + rng.normal(size=one.shape) / math.sqrt(2) for one in lifted]
        return np.where(missing, NEITHER, present), (own[0], own[1])
    labels = rng.choice(classes, patients, p=design.shares)
    if design.kind == "ordinal":
        cuts = np.arange(classes - 1)
        shared = rng.normal(size=patients)
        grades = [lift * labels + shared + rng.normal(size=patients) for lift in design.lifts]
        return (labels[:, None] > cuts).astype(np.int64), (
            grades[0][:, None] - cuts - 0.5,
            grades[1][:, None] - cuts - 0.5,
        )
    true = (labels[:, None] == np.arange(classes)).astype(np.int64)
    shared = rng.normal(size=true.shape)
    raw = [lift * true + shared + rng.normal(size=true.shape) for lift in design.lifts]
    return true, (_against_rest(raw[0]), _against_rest(raw[1]))


def contrasts_of(bins: Integers, sides: Integers) -> tuple[Histogram, ...]:
    """Each score's patients, but those whom it leaves out."""
    return tuple(
        Histogram.from_bins(own[side != NEITHER], side[side != NEITHER])
        for own, side in zip(bins.T, sides.T, strict=True)
    )


def _against_rest(raw: Floats) -> Floats:
    """The logit of each class's softmax."""
    logs = raw - logsumexp(raw, axis=1, keepdims=True)
    return np.asarray(logs - np.log(-np.expm1(logs)))


if __name__ == "__main__":
    main()
