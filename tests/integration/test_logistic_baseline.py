"""The baseline through whole federations: each site's regression, their mean, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy.optimize import minimize

from client.workspace import open_workspace, training_samples
from server.report.page import run_page
from server.report.read import read_report
from server.run.ledger import read_rounds
from shared.model.network import build_network
from shared.settings.config import RunConfig

MakeConfig = Callable[..., RunConfig]
Simulate = Callable[[RunConfig], dict[str, Any]]
Watched = Callable[[RunConfig], tuple[dict[str, Any], Any]]


def regression(config: RunConfig, base: Path, site: Path) -> tuple[NDArray[np.float64], int]:
    """A site's head (64 weights, then the bias) by SciPy, and its number of training images.

    Both classes weigh the same; features are those of the plain network for whole images.
    """
    alone = replace(config, sites="", out="")
    samples = training_samples(open_workspace({"site": str(site)}, alone), alone).train
    network = build_network("micro", dropout=0.0)
    network.load_state_dict(network.state_dict() | load_file(base), strict=False)
    with torch.no_grad():
        maps = network.eval().prefix(torch.stack([one.load() for one in samples]), "head")
    rows = maps.mean(dim=(2, 3)).double().numpy()
    design = np.column_stack([rows, np.ones(len(rows))])
    signs = np.array([2.0 * one.radiograph.label - 1 for one in samples])
    weights = np.array([0.5 / np.mean(signs == own) for own in signs])

    def loss(head: NDArray[np.float64]) -> float:
        misses = np.logaddexp(0, -signs * (design @ head))
        return float(head @ head / 2 + config.logistic_c * weights @ misses)

    found = minimize(loss, np.zeros(65), method="BFGS", options={"gtol": 1e-6})
    return found.x, len(rows)


def head_of(config: RunConfig) -> NDArray[np.float64]:
    state = load_file(Path(config.out) / "model.safetensors")
    return np.append(state["fc.weight"].numpy(), state["fc.bias"].numpy())


def test_the_head_is_the_mean_of_the_sites_own_regressions(
    three_sites: tuple[Path, ...], base_file: Path, federated: MakeConfig, simulate_watched: Watched
) -> None:
    config = federated(schedule="logistic", logistic_c=0.5, augmentation="recipe", dropout=0.3)
    summary, traffic = simulate_watched(config)
    assert summary["rounds"] == 1
    assert len(traffic.of("train")[0]) == len(three_sites)
    fits = [regression(config, base_file, site) for site in three_sites]
    expected = np.average([fit for fit, _ in fits], axis=0, weights=[images for _, images in fits])
    assert head_of(config) == pytest.approx(expected, rel=1e-3, abs=1e-4)
    state, base = load_file(Path(config.out) / "model.safetensors"), load_file(base_file)
    assert all(torch.equal(state[key], base[key]) for key in base if "num_batches" not in key)
    (record,) = read_rounds(Path(config.out) / "ledger.jsonl")
    assert not record.refused
    page = run_page(read_report(Path(config.out), None))
    assert "Three sites fitted one logistic regression in one round; in " in page
    assert "A baseline: features of the pretrained network, logistic regression." in page
    assert "Training weighted both classes alike" in page


def test_in_one_place_it_is_the_regression_on_all_images(
    three_sites: tuple[Path, ...], base_file: Path, federated: MakeConfig, simulate: Simulate
) -> None:
    config = federated(schedule="logistic", sites=three_sites[:1], pooled=True, min_sites=1)
    simulate(config)
    expected, _ = regression(config, base_file, three_sites[0])
    assert head_of(config) == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_cached_or_not_it_is_the_same_model(
    three_sites: tuple[Path, ...], federated: MakeConfig, simulate: Simulate
) -> None:
    models = []
    for out, cache in (("first", "auto"), ("again", "auto"), ("off", "off")):
        config = federated(out, schedule="logistic", feature_cache=cache, sites=three_sites[:2])
        simulate(config)
        models.append((Path(config.out) / "model.safetensors").read_bytes())
    assert models[0] == models[1] == models[2]
