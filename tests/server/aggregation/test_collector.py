"""Contributions in any order give the same bytes, and what Flower's strategies give at once."""

from __future__ import annotations

import logging
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message, MetricRecord, RecordDict

from server.aggregation import spill
from server.aggregation.flower import give_state, take_state
from server.aggregation.strategy import Aggregator, build_aggregator
from shared.errors import ProtocolError, RunError
from shared.settings.config import RunConfig
from shared.wire.arrays import Arrays, to_record

AVERAGING = ["fedavg", "fedprox", "fedadam", "fedyogi", "fedavgm"]
SPILLING = ["fedmedian", "fedtrimmedavg", "krum"]
SHAPES = {"fc.weight": (1, 40), "bn.running_var": (3,), "conv": (7, 5, 3, 3), "fc.bias": (1,)}
CURRENT = {key: np.full(shape, 0.5, np.float32) for key, shape in SHAPES.items()}

Part = tuple[str, Arrays, int]


def aggregator_for(strategy: str, statistics: tuple[str, ...] = ("bn.running_var",)) -> Aggregator:
    return build_aggregator(RunConfig(strategy=strategy), statistics)


def parts_of(seed: int, sites: int = 6) -> list[Part]:
    generator = np.random.default_rng(seed)
    return [
        (
            f"site-{number:03}",
            {k: generator.normal(size=s).astype(np.float32) for k, s in SHAPES.items()},
            int(generator.integers(1, 500)),
        )
        for number in range(sites)
    ]


def collect(aggregator: Aggregator, parts: list[Part], folder: Path, number: int = 1) -> Arrays:
    with aggregator.begin(number, CURRENT, folder) as collector:
        for part in parts:
            collector.add(*part)
        return collector.result()


def as_bytes(arrays: Arrays) -> dict[str, bytes]:
    return {key: value.tobytes() for key, value in sorted(arrays.items())}


@pytest.mark.parametrize("strategy", AVERAGING + SPILLING)
def test_the_order_of_arrival_does_not_show(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spill, "_BLOCK", 500)
    seen = set()
    for seed in range(5):
        aggregator = aggregator_for(strategy)
        for number in (1, 2):
            parts = parts_of(number)
            np.random.default_rng(seed).shuffle(parts)
            result = collect(aggregator, parts, tmp_path, number)
        assert list(result) == list(CURRENT)
        assert {value.dtype for value in result.values()} == {np.dtype(np.float32)}
        seen.add((*as_bytes(result).items(), *as_bytes(aggregator.state).items()))
    assert len(seen) == 1


@pytest.mark.parametrize("block", [40, 2**22])
@pytest.mark.parametrize("strategy", AVERAGING + SPILLING)
def test_as_flowers_strategy_given_all_replies_at_once(
    strategy: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three rounds, with the moments of the round before."""
    monkeypatch.setattr(spill, "_BLOCK", block)
    ours, theirs = aggregator_for(strategy, ()), aggregator_for(strategy, ()).strategy
    state: Arrays = {}
    for number in (1, 2, 3):
        parts = parts_of(number)
        give_state(theirs, CURRENT, state)
        messages = [
            Message(
                RecordDict({"a": to_record(a), "m": MetricRecord({"num-examples": images})}),
                dst_node_id=0,
                message_type="train",
            )
            for _, a, images in parts
        ]
        expected, _ = theirs.aggregate_train(number, messages)
        state |= take_state(theirs, list(CURRENT))
        assert expected is not None
        result = collect(ours, parts[::-1], tmp_path, number)
        for key, value in result.items():
            np.testing.assert_allclose(value, expected[key].numpy(), rtol=1e-6, atol=1e-7)
        assert set(ours.state) == set(state)
        for key, value in state.items():
            np.testing.assert_allclose(ours.state[key], value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("strategy", ["fedavg", "krum"])
def test_what_does_not_fit_is_refused_and_the_others_still_count(
    strategy: str, tmp_path: Path
) -> None:
    parts = parts_of(1)
    expected = collect(aggregator_for(strategy), parts, tmp_path)
    with aggregator_for(strategy).begin(1, CURRENT, tmp_path) as collector:
        collector.add(*parts[0])
        missing = {key: value for key, value in parts[1][1].items() if key != "conv"}
        for site, arrays, images, complaint in (
            ("late", missing, 1, "tensors are missing: conv"),
            ("late", CURRENT | {"fc.bias": np.zeros(2, np.float32)}, 1, r"fc.bias is float32 \(2,"),
            ("late", CURRENT, 0, "images must be 1 to 536870911, not 0"),
            ("late", CURRENT, 2**29, "images must be 1 to"),
            ("site-000", CURRENT, 1, "site-000 sent a second update in round 1"),
        ):
            with pytest.raises(ProtocolError, match=complaint):
                collector.add(site, arrays, images)
        for part in parts[1:]:
            collector.add(*part)
        assert as_bytes(collector.result()) == as_bytes(expected)


@pytest.mark.parametrize("strategy", SPILLING)
def test_no_file_stays_even_after_an_error(strategy: str, tmp_path: Path) -> None:
    collect(aggregator_for(strategy), parts_of(1), tmp_path)
    assert not list(tmp_path.iterdir())

    def stop_halfway() -> None:
        with aggregator_for(strategy).begin(1, CURRENT, tmp_path) as collector:
            collector.add(*parts_of(1)[0])
            assert list(tmp_path.iterdir())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_halfway()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("strategy", AVERAGING)
def test_averaging_writes_no_file(strategy: str, tmp_path: Path) -> None:
    with aggregator_for(strategy).begin(1, CURRENT, tmp_path / "is not there") as collector:
        collector.add(*parts_of(1)[0])
    assert not list(tmp_path.iterdir())


def test_flowers_refusal_is_a_run_error_that_counts_the_sites(tmp_path: Path) -> None:
    aggregator = aggregator_for("fedtrimmedavg")
    aggregator.strategy.beta = 0.6  # type: ignore[attr-defined]
    level = logging.getLogger("flwr").level
    with pytest.raises(RunError, match=r"FedTrimmedAvg could not combine the updates of 6 sites"):
        collect(aggregator, parts_of(1), tmp_path)
    assert logging.getLogger("flwr").level == level
    assert not list(tmp_path.iterdir())


def peak_of(strategy: str, sites: int, folder: Path) -> int:
    shapes = {"a": (200, 500), "b": (60_000,)}
    current = {key: np.zeros(shape, np.float32) for key, shape in shapes.items()}
    arrays = {key: np.ones(shape, np.float32) for key, shape in shapes.items()}
    aggregator = aggregator_for(strategy)
    tracemalloc.start()
    with aggregator.begin(1, current, folder) as collector:
        for number in range(sites):
            collector.add(f"site-{number}", arrays, 3)
        collector.result()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("strategy", [*AVERAGING, *SPILLING])
def test_memory_is_flat_in_the_number_of_sites(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spill, "_BLOCK", 30_000)
    few, many = peak_of(strategy, 3, tmp_path), peak_of(strategy, 12, tmp_path)
    assert many < few * 1.1 + 300_000
