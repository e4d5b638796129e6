"""How long a run will take: from a few steps to all of its rounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from client import estimate
from client.estimate import expected_seconds
from client.train.eight_bits import eight_bit_adamw
from client.workspace import open_workspace, training_samples
from shared.model.manifest import sizes_of_units
from shared.model.network import build_network
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan, plan_round

MakeConfig = Callable[..., RunConfig]
NODES = [{"partition-id": n, "num-partitions": 2} for n in range(2)]


@pytest.fixture
def make(
    tmp_path: Path, write_site: Callable[..., Path], micro_config: MakeConfig
) -> Callable[..., RunConfig]:
    sites = [write_site(tmp_path, "north", 30), write_site(tmp_path, "south", 16, seed=1)]

    def config(**changes: Any) -> RunConfig:
        return micro_config(sites=":".join(map(str, sites)), **changes)

    return config


def test_measured_steps_become_rounds(make: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a sum by hand: steps from images, validation images, messages of two sites."""
    config = make(feature_cache="off", local_epochs=2, probe_rounds=1, rounds=3, thaw_at="0,0.4")
    costs = estimate._Costs(batch=8, head=1.0, stage=2.0, evaluate=0.25, hash=0.1, encode=0.01)
    monkeypatch.setattr(estimate, "_measure", lambda *_: costs)
    found = expected_seconds(NODES, config)
    wanted = [0.0] * 5
    for node in NODES:
        samples = training_samples(open_workspace(node, config), config)
        images = len(samples.train)
        steps = 2 * (math.ceil(images / 8) - (images % 8 == 1))  # a single image joins a batch
        for number in range(1, 5):
            trains, sent = (1, 2, 3, 3)[number - 1], (1, 1, 2, 3)[number - 1]
            assert len(plan_round(config, number).trainable) == trains
            wanted[number - 1] += steps * (1 + 2 * (trains - 1)) + len(samples.validation) / 4
            wanted[number - 1] += 3 * 0.1 + 0.01 * (2 * trains + sent)
        wanted[4] += len(samples.validation) / 4 + 3 * 0.1 + 0.01 * (2 * 3 + 3)
    assert found == pytest.approx(wanted)


def test_cached_activations_are_counted_once(
    make: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = estimate._Costs(batch=8, head=1.0, stage=0.1, evaluate=0.0, hash=0.0, encode=0.0)
    monkeypatch.setattr(estimate, "_measure", lambda *_: costs)
    settings: dict[str, Any] = {"probe_rounds": 40, "rounds": 1, "cutmix_probability": 0.0}
    cached = expected_seconds(NODES, make(**settings))
    plain = expected_seconds(NODES, make(feature_cache="off", **settings))
    assert cached[0] > plain[0]  # eight views of each image
    assert max(cached[1:40]) < 0.1 * plain[1]
    assert sum(cached) < sum(plain)
    few = make(**settings | {"probe_rounds": 2})
    assert expected_seconds(NODES, few)[0] <= plain[0]  # not worth it


def test_a_budget_is_estimated_below_all_units(
    make: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a price for each part that trains, and what is measured keeps to the budget."""
    costs = estimate._Costs(batch=8, head=1.0, stage=1.0, evaluate=0.0, hash=0.0, encode=0.0)
    measured: list[tuple[str, ...]] = []

    def measure(_: object, config: RunConfig, plans: Sequence[Plan]) -> estimate._Costs:
        measured.extend(plan.trainable for plan in plans)
        return costs

    monkeypatch.setattr(estimate, "_measure", measure)
    free = {"probe_rounds": 0, "rounds": 3, "freeze_rate": 0.0, "feature_cache": "off"}

    def seconds(schedule: str, **changes: Any) -> float:
        measured.clear()
        return sum(expected_seconds(NODES, make(schedule=schedule, **{**free, **changes})))

    full, unbounded = seconds("full"), seconds("dynamics")
    few = seconds("dynamics", freeze_rate=0.8)
    fifth = seconds("dynamics", round_budget=0.2)
    config = make(schedule="dynamics", round_budget=0.2, **free)
    sizes = sizes_of_units(build_network("micro"), config.batch_norm)
    assert measured
    for trainable in measured:
        units = config.network.units_of(trainable)
        assert sum(sizes[unit] for unit in units) <= 0.2 * sum(sizes.values())
    assert full > unbounded > fifth > few


def test_measuring_leaves_no_trace(make: MakeConfig) -> None:
    config = make()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    found = expected_seconds(NODES, config)
    assert len(found) == 6
    assert all(seconds > 0 for seconds in found)
    assert torch.equal(torch.get_rng_state(), before)


def test_loading_the_optimisers_library_is_no_part_of_a_step(
    make: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    seconds = estimate._seconds

    def load(groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        order.append("loaded")
        return eight_bit_adamw(groups)

    def timed(work: Callable[[], object]) -> float:
        order.append("timed")
        return seconds(work)

    monkeypatch.setattr(estimate, "eight_bit_adamw", load)
    monkeypatch.setattr(estimate, "_seconds", timed)
    expected_seconds(NODES, make(optimizer="adamw8bit"))
    assert order[0] == "loaded"
    order.clear()
    expected_seconds(NODES, make())
    assert "loaded" not in order
