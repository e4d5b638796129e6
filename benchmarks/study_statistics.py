"""How often a study's CIs contain the true value, and how often equal arms are found different.

    python -m benchmarks.study_statistics --studies 400

Whole studies of a quick learner (a ridge discriminant on invented patients), put through the
study's own statistics. The truth of an interval is the mean AUROC of such studies' models among
endless patients. Two arms are equal where they learn alike but for noise of their own.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from sklearn.model_selection import StratifiedKFold

from server.results.plan import Arm
from server.results.study import RoundsTaken
from server.study.held_out import Fold, Repeat
from server.study.paired import PairedRepeats
from server.study.statistics import arm_result, comparison
from shared.metrics.binary import auroc
from shared.metrics.delong import delong_test
from shared.metrics.histogram import Histogram, bin_of
from shared.metrics.paired import PairedSums, placements

Array = NDArray[np.float64]
LEVEL = 0.05


@dataclass(frozen=True)
class Design:
    """A study: patients, features of which a few differ between the classes, folds, repeats."""

    patients: int
    repeats: int
    folds: int = 3
    features: int = 20
    telling: int = 5
    shift: float = 0.45
    noise: tuple[float, float] = (0.5, 0.5)
    """Share of a model's weights that is chance, in either arm."""

    @property
    def difference(self) -> Array:
        """Of the classes' means."""
        return np.where(np.arange(self.features) < self.telling, self.shift, 0.0)


@dataclass(frozen=True)
class Outcome:
    """What one study said of two equal arms; `true_auroc` is of its first arm's models."""

    true_auroc: float
    auroc: float
    interval: tuple[float, float] | None
    p: float | None
    p_single: float | None
    """Of the first repeat alone."""
    smallest_rank: bool
    """The signed-rank test gave the smallest p that it can give."""


def simulate(design: Design, seed: int) -> Outcome:
    """One study of two arms, equal unless one has more noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(design.patients) % 2
    images = rng.normal(size=(design.patients, design.features))
    images += labels[:, None] * design.difference
    repeats: tuple[list[Repeat], list[Repeat]] = ([], [])
    scorings, true = [], []
    for repeat in range(design.repeats):
        splits = StratifiedKFold(design.folds, shuffle=True, random_state=seed * 1000 + repeat)
        scored = [np.zeros(design.patients), np.zeros(design.patients)]
        folds: tuple[list[Fold], list[Fold]] = ([], [])
        for train, test in splits.split(images, labels):
            for arm in (0, 1):
                weights, middle = _learnt(images[train], labels[train], design.noise[arm], rng)
                scored[arm][test] = (images[test] - middle) @ weights
                folds[arm].append(_fold(scored[arm][test], labels[test]))
                if arm == 0:
                    true.append(_true_auroc(weights, design))
        for arm in (0, 1):
            repeats[arm].append(folds[arm])
        scorings.append(scored)
    first = arm_result(Arm("first"), repeats[0], 0.0, RoundsTaken(1, 1, 1))
    compared = comparison(Arm("second"), ("all",), _paired(scorings, labels))
    rank = compared.signed_rank
    return Outcome(
        float(np.mean(true)), first.auroc.mean, first.auroc_ci95, compared.p,
        _paired(scorings[:1], labels).p,
        rank.p <= rank.smallest_p,
    )  # fmt: skip


def _learnt(
    images: Array, labels: NDArray[np.int64], noise: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Weights of a discriminant, in part chance, and the point that it calls even."""
    means = [images[labels == k].mean(axis=0) for k in (0, 1)]
    weights = means[1] - means[0]
    chance = rng.normal(size=weights.size) * np.linalg.norm(weights) / np.sqrt(weights.size)
    return (1 - noise) * weights + noise * chance, (means[0] + means[1]) / 2


def _true_auroc(weights: Array, design: Design) -> float:
    """Among unlimited patients: the features are independent, of variance 1."""
    distance = weights @ design.difference / (np.sqrt(2) * np.linalg.norm(weights))
    return float(ndtr(distance))


def _fold(logits: Array, labels: NDArray[np.int64]) -> Fold:
    return Fold(Histogram.from_logits(logits, labels), {}, None)


def _paired(repeats: Sequence[Sequence[Array]], labels: NDArray[np.int64]) -> PairedRepeats:
    """As the sites and the coordinator do it, of the scores of both arms in each repeat."""
    bins = [[bin_of(scored[arm]) for scored in repeats] for arm in (0, 1)]
    counted = [[Histogram.from_logits(scored[arm], labels) for scored in repeats] for arm in (0, 1)]
    places = [[placements(one) for one in of_arm] for of_arm in counted]
    means = delong_test(PairedSums.of_repeats(bins[0], bins[1], labels, places[0], places[1]))
    assert means is not None
    areas = [(auroc(a) or 0.0, auroc(b) or 0.0) for a, b in zip(*counted, strict=True)]
    return PairedRepeats(tuple(areas), means)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--patients", type=int, nargs="*", default=(60, 160))
    parser.add_argument("--repeats", type=int, nargs="*", default=(1, 3, 6))
    options = parser.parse_args()
    print(f"{options.studies} studies a row; 3 folds, two equal arms, level {LEVEL:.0%}.\n")
    head = ("patients", "repeats", "true AUROC", "mean AUROC", "interval holds it",
            "equal arms differ, p of the study", "of its first repeat alone",
            "signed rank at its smallest p")  # fmt: skip
    print(f"| {' | '.join(head)} |")
    print("|" + " --- |" * 8)
    for patients in options.patients:
        for repeats in options.repeats:
            design = Design(patients, repeats)
            print_row(design, [simulate(design, seed) for seed in range(options.studies)])


def print_row(design: Design, outcomes: Sequence[Outcome]) -> None:
    truth = float(np.mean([one.true_auroc for one in outcomes]))
    holds = [one.interval is not None and one.interval[0] <= truth <= one.interval[1]
             for one in outcomes]  # fmt: skip
    shares = (
        holds,
        [one.p is not None and one.p < LEVEL for one in outcomes],
        [one.p_single is not None and one.p_single < LEVEL for one in outcomes],
        [one.smallest_rank for one in outcomes],
    )
    values = " | ".join(f"{np.mean(share):.1%}" for share in shares)
    print(f"| {design.patients} | {design.repeats} | {truth:.3f} | "
          f"{np.mean([one.auroc for one in outcomes]):.3f} | {values} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
