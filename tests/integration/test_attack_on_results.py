"""A reader with all files of a run, or of two, searches what a hidden site's counts can be.

The solver knows the rules: how patients are dealt out, how numbers are rounded, who is hidden when.
It takes every number that is shown at the digits that are shown, and returns all class counts of
each site's validation patients that agree with all of them.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.limits import MIN_CELL
from shared.metrics.histogram import SCORE_BINS, bin_probabilities
from shared.settings.config import RunConfig

Counts = tuple[int, int]
Document = Mapping[str, Any]
FRACTION = 0.2
MOST = 12
"""Patients of a class that a hidden site has at most, as the solver may assume."""


@dataclasses.dataclass(frozen=True)
class Table:
    """One evaluation: pooled metrics, metrics by site, and training patients by site."""

    pooled: Document
    sites: Mapping[str, Document]
    patients: Mapping[str, int | None]


def tables_of(folder: Path) -> Iterator[Table]:
    """Every evaluation that the files of a run tell of."""
    for line in (folder / "ledger.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        sites = record["sites"].items()
        yield Table(
            record["validation"],
            {name: site["metrics"] for name, site in sites},
            {name: site["patients"] for name, site in sites},
        )
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    yield Table(summary["pooled"], summary["site"], {})


def slack(value: float) -> float:
    """Half a unit of the last digit that is shown; nothing is lost of sixteen digits."""
    shown = repr(float(value))
    digits = len(shown.partition(".")[2]) if "e" not in shown else 17
    return 1e-12 if digits > 6 else 0.5 * 10.0**-digits + 1e-12


def near(value: float, possible: Iterable[float]) -> bool:
    """Whether one of these is shown so."""
    return any(abs(value - one) <= slack(value) for one in possible)


def fits_metrics(metrics: Document, p: int, n: int) -> bool:
    """Whether some scores of so many patients give metrics that are shown like this."""
    area, f1, balanced = (metrics[key] for key in ("auroc", "f1", "balanced_accuracy"))
    if (metrics["positives"] not in (None, p)) or (metrics["negatives"] not in (None, n)):
        return False
    if area is not None and not (p and n and near(area, np.arange(2 * p * n + 1) / (2 * p * n))):
        return False
    if f1 is None and balanced is None:
        return True
    for hits, alarms in itertools.product(range(p + 1), range(n + 1)):
        called = 2 * hits + alarms + p - hits
        if f1 is not None and not (called and near(f1, [2 * hits / called])):
            continue
        if balanced is None:
            return True
        if p and n and near(balanced, [(hits / p + (n - alarms) / n) / 2]):
            return True
    return False


def validates(patients: int) -> int:
    """How many of a class are held out to validate on."""
    return min(max(1, round(FRACTION * patients)), patients - 1)


def fits_training(trained_on: int | None, own: Counts) -> bool:
    """Whether a site with these validation patients may train on so many, rounded or not."""
    if trained_on is None:
        return True
    sizes = [[m for m in range(2, 80) if validates(m) == count] for count in own]
    trained = {a + b - sum(own) for a, b in itertools.product(*sizes)}
    exact = trained_on % MIN_CELL != 0
    return any(abs(t - trained_on) <= (0 if exact else MIN_CELL / 2) for t in trained)


def solve(tables: Sequence[Table]) -> dict[str, set[Counts]]:
    """All class counts of each site that some solution of the whole has."""
    names = sorted({name for table in tables for name in table.sites})
    numbers = range(1, MOST + 1)
    every = [(p, n) for p in numbers for n in numbers]
    domains: dict[str, list[Counts]] = {}
    for name in names:
        shown = {
            (int(metrics["positives"]), int(metrics["negatives"]))
            for table in tables
            if (metrics := table.sites.get(name)) and metrics["positives"] is not None
        }
        published = {t for table in tables if (t := table.patients.get(name)) is not None}
        fitting = [c for c in every if all(fits_training(t, c) for t in published)]
        domains[name] = [*shown] if len(shown) == 1 else fitting
    found: dict[str, set[Counts]] = {name: set() for name in names}
    for values in itertools.product(*(domains[name] for name in names)):
        counts = dict(zip(names, values, strict=True))
        if all(_fits(table, counts) for table in tables):
            for name, own in counts.items():
                found[name].add(own)
    return found


def _fits(table: Table, counts: Mapping[str, Counts]) -> bool:
    p, n = (sum(counts[name][k] for name in table.sites) for k in (0, 1))
    pooled = table.pooled
    if pooled["positives"] not in (None, p) or pooled["negatives"] not in (None, n):
        return False
    few = p + n <= 2 * MOST  # of more, every value of two digits is possible
    return not few or fits_metrics(pooled, p, n)


def score_bins(metrics: Document) -> set[tuple[int, int]]:
    """Bins of one positive and one negative patient that give the Brier score and AUROC shown."""
    if metrics["brier"] is None:
        return {(a, b) for a in range(SCORE_BINS) for b in range(SCORE_BINS)}
    share = bin_probabilities()
    scores = ((1 - share[:, None]) ** 2 + share[None, :] ** 2) / 2
    fits = np.abs(scores - metrics["brier"]) <= slack(metrics["brier"])
    if metrics["auroc"] is not None:
        order = np.arange(SCORE_BINS)
        areas = (np.sign(order[:, None] - order[None, :]) + 1) / 2
        fits &= np.abs(areas - metrics["auroc"]) <= slack(metrics["auroc"])
    return {(int(a), int(b)) for a, b in np.argwhere(fits)}


def is_hidden_well(solutions: set[Counts]) -> bool:
    """Whether enough remain: five pairs, and more than min-cell values of either class."""
    spans = [max(c[k] for c in solutions) - min(c[k] for c in solutions) for k in (0, 1)]
    return len(solutions) >= 5 and min(spans) >= MIN_CELL


WriteSite = Callable[..., Path]
MakeConfig = Callable[..., RunConfig]
Simulate = Callable[[RunConfig], dict[str, Any]]


@pytest.fixture
def run_of(
    tmp_path: Path, write_site: WriteSite, federated: MakeConfig, simulate: Simulate
) -> Callable[..., Path]:
    """A run, as others see it, of sites with so many patients, half of either class."""

    def make(out: str, patients: Mapping[str, int], rounds: int = 1) -> Path:
        sites = []
        for seed, (name, number) in enumerate(patients.items()):
            if not (tmp_path / "sites" / name).exists():
                write_site(tmp_path / "sites", name, number, seed=seed, contrast=5.0, min_cell=5)
            sites.append(tmp_path / "sites" / name)
        config = federated(
            out=f"runs/{out}", sites=sites, min_sites=1, for_others=True,
            probe_rounds=rounds, rounds=1, lr_probe=0.1,
        )  # fmt: skip
        simulate(config)
        return Path(config.out)

    return make


@pytest.mark.slow
def test_a_small_site_alone(run_of: Callable[..., Path]) -> None:
    """One patient of either class: counts, and both patients' scores in each of ten rounds."""
    tables = list(tables_of(run_of("alone", {"b": 4}, rounds=9)))
    assert is_hidden_well(solve(tables)["b"])
    assert all(len(score_bins(table.pooled)) > 1000 for table in tables)


@pytest.mark.slow
def test_two_small_sites(run_of: Callable[..., Path]) -> None:
    found = solve(list(tables_of(run_of("two", {"b": 4, "c": 6}))))
    assert is_hidden_well(found["b"])
    assert is_hidden_well(found["c"])


@pytest.mark.slow
@pytest.mark.parametrize("order", [("with", "without"), ("without", "with")])
def test_a_run_with_and_one_without_the_small_site(
    run_of: Callable[..., Path], order: tuple[str, str]
) -> None:
    sites = {"a": 60, "b": 6, "c": 54}
    without = {name: number for name, number in sites.items() if name != "b"}
    folders = [run_of(one, sites if one == "with" else without) for one in order]
    tables = [table for folder in folders for table in tables_of(folder)]
    assert any(one["positives"] is not None for table in tables for one in table.sites.values())
    found = solve(tables)
    assert is_hidden_well(found["b"])


def test_the_solver_finds_what_exact_numbers_give_away() -> None:
    """As a ledger once had them: the counts of a site alone, and its two patients' bins."""
    share = bin_probabilities()
    brier = float(((1 - share[300]) ** 2 + share[260] ** 2) / 2)
    none = dict.fromkeys(["positives", "negatives", "f1", "balanced_accuracy"])
    metrics = {**none, "auroc": 1.0, "f1": 2 / 3, "balanced_accuracy": 0.5, "brier": brier}
    table = Table(metrics, {"b": none}, {"b": 2})
    assert solve([table]) == {"b": {(1, 1)}}
    assert score_bins(metrics) == {(300, 260), (253, 213)}  # the latter is its mirror image
    assert math.isclose(slack(0.76), 0.005, rel_tol=1e-6)
