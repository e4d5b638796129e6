"""Whole federations in this process, with the real client app and small networks."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Message
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    recall_score,
    roc_auc_score,
)

from server.simulation.grid import InProcessGrid
from server.simulation.inprocess import local_grid
from server.training.coordinate import coordinate
from shared.model.network import build_network
from shared.settings.config import RunConfig

Scores = tuple[NDArray[np.float64], NDArray[np.int64]]
METRICS = {
    "auroc", "auroc_bounds", "auroc_ci95", "auprc", "balanced_accuracy", "f1", "sensitivity",
    "specificity", "threshold", "brier", "ece", "positives", "negatives",
}  # fmt: skip
SITES = {"north": 8, "east": 10, "south": 12}


@dataclass
class Traffic:
    """All messages of a run, as the coordinator sent and received them."""

    sent: list[Message] = field(default_factory=list)
    received: list[Message] = field(default_factory=list)

    def of(self, message_type: str) -> tuple[list[Message], list[Message]]:
        """Requests and replies of one type."""
        return (
            [m for m in self.sent if m.metadata.message_type == message_type],
            [m for m in self.received if m.metadata.message_type == message_type],
        )


def watch(grid: InProcessGrid) -> Traffic:
    """Keep what goes through the grid from now on."""
    traffic = Traffic()
    push, pull = grid.push_messages, grid.pull_messages

    def pushed(messages: Iterable[Message]) -> Iterable[str]:
        kept = list(messages)
        traffic.sent += kept
        return push(kept)

    def pulled(message_ids: Iterable[str]) -> Iterable[Message]:
        replies = list(pull(message_ids))
        traffic.received += replies
        return replies

    grid.push_messages = pushed  # type: ignore[method-assign]
    grid.pull_messages = pulled  # type: ignore[method-assign]
    return traffic


@pytest.fixture(scope="session")
def three_sites(
    tmp_path_factory: pytest.TempPathFactory, write_site: Callable[..., Path]
) -> tuple[Path, ...]:
    """Folders of three sites of different size; no test changes them."""
    folder = tmp_path_factory.mktemp("sites")
    return tuple(
        write_site(folder, name, patients, seed=seed)
        for seed, (name, patients) in enumerate(SITES.items())
    )


@pytest.fixture(scope="session")
def base_file(tmp_path_factory: pytest.TempPathFactory, write_base: Callable[..., Path]) -> Path:
    """A checkpoint of the smallest network that looks pretrained; it has no head."""
    return write_base(tmp_path_factory.mktemp("base") / "base.safetensors")


@pytest.fixture
def federated(
    tmp_path: Path, three_sites: tuple[Path, ...], base_file: Path,
    micro_config: Callable[..., RunConfig],
) -> Callable[..., RunConfig]:  # fmt: skip
    """The configuration of a federation of the three sites, into a folder of `tmp_path`."""

    def make(out: str = "run", sites: Iterable[Path] = three_sites, **changes: Any) -> RunConfig:
        settings: dict[str, Any] = {
            "weights": str(base_file),
            "sites": os.pathsep.join(map(str, sites)),
            "out": str(tmp_path / out),
            "retries": 0,
            # Four rounds: the head, then layer3 and layer4 with it, then layer2 as well.
            "rounds": 3,
            "augmentation": "none",
        }
        return micro_config(**(settings | changes))

    return make


@pytest.fixture(scope="session")
def simulate() -> Callable[[RunConfig], dict[str, Any]]:
    """Run a federation to its end in this process; returns its summary."""

    def run(config: RunConfig) -> dict[str, Any]:
        return coordinate(new_grid(config), config)

    return run


@pytest.fixture(scope="session")
def simulate_watched() -> Callable[[RunConfig], tuple[dict[str, Any], Traffic]]:
    """As `simulate`, and keep all messages."""

    def run(config: RunConfig) -> tuple[dict[str, Any], Traffic]:
        grid = new_grid(config)
        traffic = watch(grid)
        return coordinate(grid, config), traffic

    return run


def new_grid(config: RunConfig) -> InProcessGrid:
    """A node for each site folder, or one for all with `pooled`."""
    return local_grid(config, 1 if config.pooled else len(config.sites.split(os.pathsep)))


def raw_scores(model: Path, sites: list[Path], chosen: dict[str, set[str]] | None) -> Scores:
    """Each patient's mean probability and class, from the files alone; `chosen` by site."""
    network = build_network("micro", dropout=0.0)
    network.load_state_dict(load_file(model))
    network.eval()
    scores, labels = [], []
    for site in sites:
        patients: dict[str, list[tuple[str, str]]] = {}
        with (site / "labels.csv").open() as table:
            for row in csv.DictReader(table):
                patients.setdefault(row["patient"], []).append((row["file"], row["outcome"]))
        for patient, images in patients.items():
            if chosen is not None and patient not in chosen[site.name]:
                continue
            pixels = [np.asarray(Image.open(site / "images" / file)) for file, _ in images]
            batch = (2 * np.stack(pixels).astype(np.float32) / 255 - 1) * 1024
            with torch.no_grad():
                logits = network(torch.from_numpy(batch)[:, None])
            scores.append(float(torch.sigmoid(logits.double()).mean()))
            labels.append(int(images[0][1] == "sick"))
    return np.array(scores), np.array(labels)


def assert_metrics(metrics: dict[str, Any], scores: Scores) -> None:
    """The histogram's metrics against scikit-learn's on the raw scores."""
    values, labels = scores
    predicted = (values >= 0.5).astype(int)
    assert set(metrics) == METRICS
    assert metrics["positives"] == labels.sum()
    assert metrics["negatives"] == (1 - labels).sum()
    exact = roc_auc_score(labels, values)
    low, high = metrics["auroc_bounds"]
    assert low - 1e-9 <= exact <= high + 1e-9
    assert high - low < 0.1
    assert metrics["auroc"] == pytest.approx(exact, abs=0.05)
    assert metrics["threshold"] == 0.5
    assert metrics["sensitivity"] == pytest.approx(recall_score(labels, predicted))
    assert metrics["specificity"] == pytest.approx(recall_score(labels, predicted, pos_label=0))
    assert metrics["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert metrics["f1"] == pytest.approx(f1_score(labels, predicted))
    # A bin is a thirty-second of a logit wide: under 0.004 in probability.
    assert metrics["brier"] == pytest.approx(brier_score_loss(labels, values), abs=0.008)
    assert metrics["auprc"] == pytest.approx(average_precision_score(labels, values), abs=0.1)


@pytest.fixture(scope="session")
def check_metrics() -> Callable[..., Scores]:
    """Compare metrics with those of a model's raw scores at these sites, and return the scores."""

    def check(
        metrics: dict[str, Any],
        model: Path,
        sites: list[Path],
        chosen: dict[str, set[str]] | None = None,
    ) -> Scores:
        scores = raw_scores(model, sites, chosen)
        assert_metrics(metrics, scores)
        return scores

    return check
