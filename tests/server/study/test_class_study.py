"""Studies of several classes and of labels, against scikit-learn on the scores that sites kept."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    roc_auc_score,
)

from client.scores import KeptScore, load_scores
from shared.metrics.histogram import bin_of_probability
from shared.outcome.labels import ABSENT, MISSING, PRESENT, LabelsOutcome
from shared.outcome.outcome import Outcome
from shared.outcome.registry import parse_outcome

Here = Callable[..., tuple[int, str, str]]
Words = Callable[..., list[object]]
Declare = Callable[[Path, str], None]
ARMS = """
[[arm]]
name = "first"
[[arm]]
name = "the same again"
[[arm]]
name = "full, faster"
set = { schedule = "full", lr-head = 0.01 }
"""
OUTCOMES = {
    "classes": "classes: none | mild | severe",
    "ordinal": "ordinal: none | mild | severe",
    "labels": "labels: left | right",
}


def kept(out: Path, arm: str, repeat: int) -> list[KeptScore]:
    """Every held-out patient of a repeat, from the sites' own files, by name."""
    found: list[KeptScore] = []
    for fold in range(2):
        summary = json.loads((out / arm / f"repeat-{repeat}-fold-{fold}/summary.json").read_text())
        files = Path(os.environ["FEDTHAW_CACHE"]).rglob(f"{summary['run']}/*/scores-test.json")
        found += chain.from_iterable(load_scores(file) or () for file in files)
    return sorted(found, key=lambda one: one.key)


def sides_of(outcome: Outcome, scores: list[KeptScore]) -> NDArray[np.float64]:
    """For each patient and score 1, 0, or NaN where nobody knows."""
    if isinstance(outcome, LabelsOutcome):
        digit = {PRESENT: 1.0, ABSENT: 0.0, MISSING: math.nan}
        return np.array([[digit[d] for d in outcome.digits(one.label)] for one in scores])
    labels = np.array([one.label for one in scores])[:, None]
    places = np.arange(outcome.outputs)
    return np.asarray((labels > places if outcome.kind == "ordinal" else labels == places), float)


def areas_of(sides: NDArray[np.float64], bins: NDArray[np.int64]) -> list[float]:
    return [
        float(roc_auc_score(side[~np.isnan(side)], own[~np.isnan(side)]))
        for side, own in zip(sides.T, bins.T, strict=True)
    ]


def added(sides: NDArray[np.float64], bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each patient adds to the error of the mean AUROC, by a loop over patients."""
    total = np.zeros(len(sides))
    for side, own in zip(sides.T, bins.T, strict=True):
        for value, others, sign in (1.0, 0.0, 1), (0.0, 1.0, -1):
            here = np.flatnonzero(side == value)
            places = [np.mean(np.heaviside(sign * (own[n] - own[side == others]), 0.5))
                      for n in here]  # fmt: skip
            root = math.sqrt(len(here) * (len(here) - 1))
            total[here] += (np.array(places) - np.mean(places)) / root
    shared: NDArray[np.float64] = total / sides.shape[1]
    return shared


@pytest.mark.parametrize(
    "kind",
    ["classes", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("ordinal", "labels"))],
)
def test_a_study_from_arms_to_tables(
    kind: str,
    two_sites: list[Path],
    runs: list[str],
    here: Here,
    words: Words,
    declare: Declare,
    tmp_path: Path,
) -> None:
    for site in two_sites:
        declare(site, kind)
    arms, out = tmp_path / "arms.toml", tmp_path / "study"
    arms.write_text(ARMS)
    code, said, stderr = here(*words(two_sites, out, "--arms", arms, "--json"))
    assert code == 0, stderr
    assert len(runs) == 3 * 2 * 2
    text = (out / "study.json").read_text()
    assert said.endswith(text + "\n")
    result: dict[str, Any] = json.loads(text)
    assert result["outcome"] == OUTCOMES[kind]
    outcome = parse_outcome(OUTCOMES[kind])
    folders = ("first", "the-same-again", "full-faster")
    scores = [[kept(out, folder, repeat) for repeat in range(2)] for folder in folders]
    sides = sides_of(outcome, scores[0][0])
    bins = [[bin_of_probability([one.scores for one in own]) for own in arm] for arm in scores]
    for arm, own, of_arm in zip(result["arms"], bins, scores, strict=True):
        areas = np.array([areas_of(sides, one) for one in own])
        assert arm["auroc"]["mean"] == pytest.approx(areas.mean())
        assert arm["patients"] <= len(sides) == 28
        for place, one in enumerate(arm["contrasts"]):
            assert one["auroc"]["over_repeats"]["mean"] == pytest.approx(areas[:, place].mean())
            assert one["positives"] == np.nansum(sides[:, place])
        if kind != "labels":
            _check_predictions(arm["metrics"], outcome, of_arm)
    same, faster = result["comparisons"]
    assert (same["difference"]["mean"], same["p"], same["ci95"]) == (0.0, 1.0, None)
    values = [[added(sides, one) for one in bins[arm]] for arm in (2, 0)]
    means = [[np.mean(areas_of(sides, one)) for one in bins[arm]] for arm in (2, 0)]
    differences = np.array(means[0]) - np.array(means[1])
    mean_a, mean_b = np.mean(values, axis=1)
    variance = ((mean_a - mean_b) ** 2).sum() + np.var(differences, ddof=1) / 2
    assert faster["difference"]["mean"] == pytest.approx(differences.mean())
    z = abs(differences.mean()) / math.sqrt(variance)
    assert faster["p"] == pytest.approx(float(2 * stats.norm.sf(z)), rel=1e-5)
    _check_files(out, outcome)
    assert here("report", out, "--out", tmp_path / "again.html")[0] == 0
    assert (tmp_path / "again.html").read_bytes() == (out / "report.html").read_bytes()


def _check_predictions(
    metrics: dict[str, Any], outcome: Outcome, repeats: list[list[KeptScore]]
) -> None:
    truth = [one.label for one in repeats[0]]
    called = [[outcome.predicted(one.scores) for one in own] for own in repeats]
    weights = "quadratic" if outcome.kind == "ordinal" else None
    kappa = "kappa_quadratic" if weights else "kappa"
    for name, wanted in (
        ("accuracy", [accuracy_score(truth, own) for own in called]),
        ("balanced_accuracy", [balanced_accuracy_score(truth, own) for own in called]),
        (kappa, [cohen_kappa_score(truth, own, weights=weights) for own in called]),
    ):
        assert metrics[name]["over_repeats"]["mean"] == pytest.approx(np.mean(wanted)), name


def _check_files(out: Path, outcome: Outcome) -> None:
    with (out / "classes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * outcome.outputs
    with (out / "arms.csv").open() as file:
        assert {row["rounds a run"] for row in csv.DictReader(file)} == {"2"}
    page = (out / "report.html").read_text()
    assert "Mean AUROC" in page
    assert "thresholds" not in page.split('id="reading"')[0]
    for name in outcome.names[1:]:
        assert name in page
    assert (out / "study.md").read_text().count("\n| arm |") + 1 == 3
    assert "mean AUROC" in (out / "study.tex").read_text()


def test_for_others_a_rare_class_is_left_out_with_its_patients(
    two_sites: list[Path],
    runs: list[str],
    here: Here,
    words: Words,
    declare: Declare,
    tmp_path: Path,
) -> None:
    """14 patients a site, one of them severe: the two other classes have seven at each."""
    for site in two_sites:
        declare(site, "classes")
        with (site / "labels.csv").open() as file:
            rows = list(csv.DictReader(file))
        with (site / "labels.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            for row in rows:
                number = int(row["patient"][1:])
                writer.writerow({**row, "outcome": "s" if number == 13 else "nm"[number % 2]})
    arms, out = tmp_path / "arms.toml", tmp_path / "study"
    arms.write_text('[[arm]]\nname = "first"\n[[arm]]\nname = "second"\n')
    more = ("--arms", arms, "--set", "for-others=true", "--repeats", 1, "--json")
    code, _, stderr = here(*words(two_sites, out, *more))
    assert code == 0, stderr
    result = json.loads((out / "study.json").read_text())
    assert result["left_out"] == ["severe"]
    severe = result["arms"][0]["classes"][2]
    assert (severe["patients"], severe["sensitivity"]["over_repeats"]) == (None, None)
    assert result["arms"][0]["contrasts"][2]["positives"] is None
    assert result["arms"][0]["patients"] == 26
