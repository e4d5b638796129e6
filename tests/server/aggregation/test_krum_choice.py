"""Krum on disk chooses as Flower's Krum does in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flwr.app import MetricRecord, RecordDict
from flwr.serverapp.strategy.multikrum import select_multikrum

from server.aggregation import spill as module
from server.aggregation.krum import choose_site, squared_distances
from server.aggregation.spill import Spill
from shared.wire.arrays import Arrays, to_record

SHAPES = {"a": (11, 3), "b": (5,)}


def spilled(folder: Path, contributions: list[Arrays]) -> Spill:
    spill = Spill(folder, SHAPES)
    for index in np.random.default_rng(9).permutation(len(contributions)):
        spill.add(f"{index:03}", contributions[index], images=1)
    return spill


def random_contributions(seed: int, sites: int) -> list[Arrays]:
    generator = np.random.default_rng(seed)
    return [
        {
            k: (generator.normal(size=s) * generator.uniform(0.5, 2)).astype(np.float32)
            for k, s in SHAPES.items()
        }
        for _ in range(sites)
    ]


def flowers_choice(contributions: list[Arrays], malicious: int) -> int:
    contents = [
        RecordDict({"arrays": to_record(c), "metrics": MetricRecord({"index": index})})
        for index, c in enumerate(contributions)
    ]
    chosen = select_multikrum(contents, num_malicious_nodes=malicious, num_nodes_to_select=1)
    index = chosen[0].metric_records["metrics"]["index"]
    assert isinstance(index, int)
    return index


@pytest.mark.parametrize(("sites", "malicious"), [(5, 0), (7, 1), (7, 2), (12, 3), (20, 5)])
def test_the_same_site_as_flowers(
    sites: int, malicious: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK", 7 * sites)
    chosen = set()
    for seed in range(20):
        contributions = random_contributions(seed, sites)
        spill = spilled(tmp_path, contributions)
        choice = choose_site(spill, spill.size(), malicious)
        assert choice == flowers_choice(contributions, malicious)
        chosen.add(choice)
        spill.close()
    assert len(chosen) > 1


def test_the_distances(tmp_path: Path) -> None:
    contributions = random_contributions(1, 6)
    flat = np.stack([np.concatenate([c["a"].ravel(), c["b"]]) for c in contributions])
    expected = ((flat[:, None].astype(np.float64) - flat[None]) ** 2).sum(axis=2)
    spill = spilled(tmp_path, contributions)
    np.testing.assert_allclose(squared_distances(spill, 38), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sites", [1, 2, 3])
def test_ties_go_to_the_first_name(sites: int, tmp_path: Path) -> None:
    """With one nearest neighbour, the two sites next to each other have the same score."""
    far: Arrays = {key: np.full(shape, 100, np.float32) for key, shape in SHAPES.items()}
    contributions = (
        [far, *random_contributions(2, 2)] if sites == 3 else random_contributions(2, sites)
    )
    assert choose_site(spilled(tmp_path, contributions), 38, 0) == (1 if sites == 3 else 0)


def test_equal_contributions(tmp_path: Path) -> None:
    contributions = random_contributions(3, 1) * 4
    spill = spilled(tmp_path, contributions)
    assert choose_site(spill, 38, 0) == 0
    assert squared_distances(spill, 38).max() <= 1e-12


def test_nearly_equal_sites_far_from_zero_are_told_apart(tmp_path: Path) -> None:
    """Their distances drown in float32, whose norms are near 4e7 here."""
    offsets = [0.0, 0.25, 0.5, 0.75, 8.0]
    contributions: list[Arrays] = [
        {key: np.full(shape, 1000 + offset, np.float32) for key, shape in SHAPES.items()}
        for offset in offsets
    ]
    distances = [sorted((a - b) ** 2 for b in offsets)[1:3] for a in offsets]
    expected = int(np.argmin([sum(nearest) for nearest in distances]))
    assert choose_site(spilled(tmp_path, contributions), 38, 1) == expected
