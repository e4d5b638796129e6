"""Out-of-fold results and the clinical grade's comparison equal those made centrally."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from client.data.split import Folds, split_patients
from client.scores import load_scores
from client.workspace import open_workspace
from server.run.evaluation_file import read_evaluation
from shared.metrics.histogram import Histogram, bin_of
from shared.model.network import build_network
from shared.settings.config import RunConfig

MakeConfig = Callable[..., RunConfig]
Simulate = Callable[[RunConfig], dict[str, Any]]
Patient = tuple[str, str]


@pytest.fixture
def graded_sites(tmp_path: Path, write_site: Callable[..., Path]) -> list[Path]:
    """Two sites whose patients have a grade of 1 to 4; one of them has no grade at each site."""
    sites = []
    for seed, (name, patients) in enumerate({"north": 16, "south": 21}.items()):
        site = write_site(tmp_path, name, patients, seed=seed, more="")
        rng = np.random.default_rng(seed)
        grades = {
            f"P{n}": "" if n == 3 else str(int(np.clip(rng.integers(1, 4) + n % 2, 1, 4)))
            for n in range(patients)
        }
        with (site / "labels.csv").open() as table:
            rows = list(csv.DictReader(table))
        lines = ["patient,file,outcome,grade"]
        lines += [f"{r['patient']},{r['file']},{r['outcome']},{grades[r['patient']]}" for r in rows]
        (site / "labels.csv").write_text("\n".join(lines) + "\n")
        toml = (
            (site / "site.toml").read_text().replace("[compute]", 'covariate = "grade"\n[compute]')
        )
        (site / "site.toml").write_text(toml)
        sites.append(site)
    return sites


def central(
    model: Path, sites: list[Path], config: RunConfig
) -> dict[Patient, tuple[float, int, float | None]]:
    """Score, class and grade of each patient in the test fold, from the files alone."""
    network = build_network("micro", dropout=0.0)
    network.load_state_dict(load_file(model))
    network.eval()
    found: dict[Patient, tuple[float, int, float | None]] = {}
    for site in sites:
        workspace = open_workspace({"site": str(site)}, config)
        cohort = workspace.parts[0].admission.cohort
        folds = Folds(config.folds, config.fold)
        test = split_patients(cohort, config.validation_fraction, config.seed, folds).test
        with (site / "labels.csv").open() as table:
            rows = list(csv.DictReader(table))
        for patient in test.patients():
            own = [row for row in rows if row["patient"] == patient]
            pixels = [np.asarray(Image.open(site / "images" / row["file"])) for row in own]
            batch = (2 * np.stack(pixels).astype(np.float32) / 255 - 1) * 1024
            with torch.no_grad():
                logits = network(torch.from_numpy(batch)[:, None])
            score = float(torch.sigmoid(logits.double()).mean())
            grade = float(own[0]["grade"]) if own[0]["grade"] else None
            found[site.name, patient] = (score, int(own[0]["outcome"] == "sick"), grade)
    return found


def slow_delong(
    a: NDArray[np.float64], b: NDArray[np.float64], labels: NDArray[np.int64]
) -> tuple[float, float]:
    """Difference of the AUROCs and its standard error, patient by patient (DeLong 1988)."""

    def wins(x: float, y: float) -> float:
        return 1.0 if x > y else 0.5 if x == y else 0.0

    places = []
    for scores in (a, b):
        pos, neg = scores[labels == 1], scores[labels == 0]
        matrix = np.array([[wins(p, n) for n in neg] for p in pos])
        places.append((matrix.mean(axis=1), matrix.mean(axis=0)))
    difference = places[0][0].mean() - places[1][0].mean()
    variance = sum(
        np.var(places[0][side] - places[1][side], ddof=1) / len(places[0][side]) for side in (0, 1)
    )
    return float(difference), float(np.sqrt(variance))


def test_out_of_fold_results_equal_the_central_ones(
    tmp_path: Path, graded_sites: list[Path], federated: MakeConfig, simulate: Simulate
) -> None:
    pooled = Histogram.empty()
    everybody: dict[Patient, tuple[float, int, float | None]] = {}
    for fold in range(3):
        out = f"fold-{fold}"
        config = federated(out, graded_sites, rounds=1, folds=3, fold=fold)
        summary = simulate(config)
        scores = central(tmp_path / out / "model.safetensors", graded_sites, config)
        assert not everybody.keys() & scores.keys()
        everybody |= scores

        evaluation = read_evaluation(tmp_path / out)
        assert evaluation is not None
        own = evaluation.cohorts["test"].pooled
        assert own is not None
        pooled += own
        metrics = summary["test"]["pooled"]
        labels = np.array([label for _, label, _ in scores.values()])
        low, high = metrics["auroc_bounds"]
        exact = roc_auc_score(labels, [score for score, _, _ in scores.values()])
        assert low - 1e-9 <= exact <= high + 1e-9
        assert (metrics["positives"], metrics["negatives"]) == (labels.sum(), (1 - labels).sum())
        assert summary["pooled"] != metrics
        check_grades(summary["covariate"]["test"], scores)

    assert len(everybody) == 16 + 21
    labels = np.array([label for _, label, _ in everybody.values()])
    bins = bin_of(logit(np.array([score for score, _, _ in everybody.values()])))
    assert abs(pooled.positives - Histogram.from_bins(bins, labels).positives).sum() <= 2
    assert pooled.total_positives == labels.sum()


def check_grades(
    compared: dict[str, Any], scores: dict[Patient, tuple[float, int, float | None]]
) -> None:
    graded = [(s, label, grade) for s, label, grade in scores.values() if grade is not None]
    labels = np.array([label for _, label, _ in graded])
    grades = np.array([grade for _, _, grade in graded])
    assert compared["auroc"] == pytest.approx(roc_auc_score(labels, grades))
    assert compared["positives"] + compared["negatives"] == len(graded)
    bins = bin_of(logit(np.array([score for score, _, _ in graded]))).astype(float)
    difference, error = slow_delong(bins, grades, labels)
    assert compared["difference"]["difference"] == pytest.approx(difference, abs=0.02)
    assert compared["difference"]["standard_error"] == pytest.approx(error, abs=0.02)


def test_pooled_data_is_compared_with_the_grade_too(
    graded_sites: list[Path], federated: MakeConfig, simulate: Simulate
) -> None:
    """Each owner's scores lie in that owner's cache, and all are asked."""
    config = federated("run", graded_sites, rounds=0, folds=3, pooled=True, min_sites=1)
    compared = simulate(config)["covariate"]["test"]
    patients = central(Path(config.out) / "model.safetensors", graded_sites, config)
    check_grades(compared, patients)


def test_what_is_kept_at_a_site_are_its_own_patients(
    graded_sites: list[Path], federated: MakeConfig, simulate: Simulate
) -> None:
    config = federated("run", graded_sites, rounds=0, folds=3)
    run = simulate(config)["run"]
    for site in graded_sites:
        workspace = open_workspace({"site": str(site)}, config)
        kept = load_scores(workspace.state_folder(run) / "scores-test.json")
        assert kept
        assert {score.site for score in kept} == {site.name}
        assert "P1" not in repr(kept)


def test_without_folds_or_grades_nothing_of_it_is_there(
    tmp_path: Path, federated: MakeConfig, simulate: Simulate
) -> None:
    summary = simulate(federated(rounds=0))
    assert not {"test", "covariate"} & summary.keys()
    evaluation = read_evaluation(tmp_path / "run")
    assert evaluation is not None
    assert list(evaluation.cohorts) == ["validation"]
    pooled = evaluation.cohorts["validation"].pooled
    assert pooled is not None
    assert pooled.total_positives == summary["pooled"]["positives"]
