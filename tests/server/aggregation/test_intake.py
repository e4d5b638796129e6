"""With a refused site, the average is the average without it, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from server.aggregation.intake import Average, Intake, Rules, Verdict
from server.aggregation.screen import Reach, Screen
from server.aggregation.strategy import Aggregator, build_aggregator
from shared.model.resnet import MICRO
from shared.settings.config import RunConfig
from shared.wire.arrays import Arrays

STRATEGIES = ["fedavg", "fedadam", "fedavgm", "fedmedian", "fedtrimmedavg", "krum"]
SHAPES = {
    "layer4.0.conv1.weight": (8, 4, 3, 3),
    "layer4.0.bn1.running_var": (8,),
    "fc.weight": (1, 40),
    "fc.bias": (1,),
}
CURRENT = {key: np.full(shape, 0.5, np.float32) for key, shape in SHAPES.items()}
IMAGES = {"east": 21, "north": 34, "south": 13, "west": 55}
REFUSE = Rules("refuse", 0.9)


def honest(site: str, scale: float = 1e-3) -> Arrays:
    generator = np.random.default_rng(len(site) + ord(site[0]))
    return {key: generator.normal(0, scale, s).astype(np.float32) for key, s in SHAPES.items()}


def combine(
    updates: dict[str, Arrays],
    folder: Path,
    rules: Rules = REFUSE,
    strategy: str = "fedavg",
    images: dict[str, int] | None = None,
) -> tuple[Arrays, Verdict, Arrays]:
    """The result, the verdict and the strategy's state."""
    aggregator: Aggregator = build_aggregator(
        RunConfig(strategy=strategy), ["layer4.0.bn1.running_var"]
    )
    reach = Reach({"layer4": 5e-4, "head": 1e-3}, adaptive=True)
    screen = Screen.of(CURRENT.items(), reach, 10.0, MICRO)
    with Intake(Average(aggregator, 1, CURRENT, folder), screen, rules) as intake:
        for site, arrays in updates.items():
            own = {key: array.copy() for key, array in arrays.items()}
            intake.add(site, own, (images or IMAGES)[site], 100)
        verdict = intake.judge()
        result = intake.result()
    assert not list(folder.iterdir())
    return result, verdict, aggregator.state


def as_bytes(arrays: Arrays) -> dict[str, bytes]:
    return {key: value.tobytes() for key, value in sorted(arrays.items())}


def attack(kind: str) -> Arrays:
    bad = honest("west")
    if kind == "huge":
        return {key: np.full(s, 1e15, np.float32) for key, s in SHAPES.items()}
    if kind == "large":
        return {key: 300 * array for key, array in honest("west").items()}
    if kind == "negative variance":
        bad["layer4.0.bn1.running_var"][0] = -1.0
    if kind == "one stage":
        bad["fc.weight"] = np.full((1, 40), -0.8, np.float32)
    return bad


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", ["huge", "large", "negative variance", "one stage"])
@pytest.mark.parametrize("first", [True, False])
def test_the_average_with_a_refused_site_is_the_average_without_it(
    strategy: str, kind: str, first: bool, tmp_path: Path
) -> None:
    three = {site: honest(site) for site in ("east", "north", "south")}
    bad = {"west": attack(kind)}
    four = bad | three if first else three | bad
    with_it, verdict, state = combine(four, tmp_path, strategy=strategy)
    without, clean, expected = combine(three, tmp_path, strategy=strategy)
    assert list(verdict.refused) == ["west"]
    assert not clean.refused
    assert as_bytes(with_it) == as_bytes(without)
    assert as_bytes(state) == as_bytes(expected)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_honest_round_is_as_without_any_screen(strategy: str, tmp_path: Path) -> None:
    four = {site: honest(site) for site in IMAGES}
    screened, verdict, _ = combine(four, tmp_path, strategy=strategy)
    plain, _, _ = combine(four, tmp_path, Rules("off", 1.0), strategy=strategy)
    assert not verdict.refused
    assert verdict.weights == IMAGES
    assert as_bytes(screened) == as_bytes(plain)


def test_without_a_screen_the_attack_succeeds(tmp_path: Path) -> None:
    four = {site: honest(site) for site in IMAGES} | {"west": attack("huge")}
    result, _, _ = combine(four, tmp_path, Rules("off", 1.0))
    assert result["fc.weight"].max() > 1e14


def test_two_sites_are_held_against_what_is_plausible(tmp_path: Path) -> None:
    two = {"east": honest("east"), "west": attack("huge")}
    result, verdict, _ = combine(two, tmp_path)
    alone, _, _ = combine({"east": honest("east")}, tmp_path)
    assert list(verdict.refused) == ["west"]
    assert as_bytes(result) == as_bytes(alone)
    # Of two that differ there is no telling which is right.
    _, verdict, _ = combine({"east": honest("east"), "west": attack("large")}, tmp_path)
    assert not verdict.refused
    assert verdict.ratios["west"] > 10 > 1 > verdict.ratios["east"]


@pytest.mark.parametrize("kind", ["huge", "large"])
def test_clipped_it_is_no_larger_than_what_is_let_pass(kind: str, tmp_path: Path) -> None:
    four = {site: honest(site) for site in IMAGES} | {"west": attack(kind)}
    result, verdict, _ = combine(four, tmp_path, Rules("clip", 0.9))
    assert list(verdict.clipped) == ["west"]
    assert not verdict.refused
    assert verdict.weights == IMAGES
    for key, value in result.items():
        assert np.abs(value - CURRENT[key]).max() < 0.5
    # A negative variance is not made right by being smaller.
    four["west"] = attack("negative variance")
    _, verdict, _ = combine(four, tmp_path, Rules("clip", 0.9))
    assert list(verdict.refused) == ["west"]


def test_an_invented_number_of_images_does_not_take_over(tmp_path: Path) -> None:
    four = {site: honest(site) for site in IMAGES}
    claimed = IMAGES | {"west": 2**29 - 1}
    result, verdict, _ = combine(four, tmp_path, Rules("refuse", 0.4), images=claimed)
    assert verdict.capped == ("west",)
    weights = {"east": 0.6 * 21 / 68, "north": 0.6 * 34 / 68, "south": 0.6 * 13 / 68, "west": 0.4}
    for key, value in result.items():
        mean = sum(weights[site] * four[site][key].astype(float) for site in weights)
        np.testing.assert_allclose(value, CURRENT[key] + mean, rtol=1e-4, atol=1e-7)


def test_memory_does_not_grow_with_the_sites(tmp_path: Path) -> None:
    import tracemalloc

    def peak(sites: int) -> int:
        updates = {f"s{n:02}": honest("east") for n in range(sites)}
        updates["s00"] = attack("huge")
        tracemalloc.start()
        reach = Reach({"layer4": 5e-4, "head": 1e-3}, adaptive=True)
        screen = Screen.of(CURRENT.items(), reach, 10.0, MICRO)
        aggregator = build_aggregator(RunConfig(), ["layer4.0.bn1.running_var"])
        with Intake(Average(aggregator, 1, CURRENT, tmp_path), screen, REFUSE) as intake:
            for site, arrays in updates.items():
                intake.add(site, {key: a.copy() for key, a in arrays.items()}, 5, 100)
            intake.judge()
            intake.result()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(3)  # what is made once
    assert peak(40) < peak(4) * 1.2 + 100_000
