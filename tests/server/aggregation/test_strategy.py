"""Each strategy against its formula, written out again in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from server.aggregation.strategy import Aggregator, Contribution, build_aggregator
from server.run.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from shared.errors import ProtocolError, RunError
from shared.settings.config import RunConfig
from shared.wire.arrays import Arrays

ALL = ["fedavg", "fedprox", "fedadam", "fedyogi", "fedavgm", "fedmedian", "fedtrimmedavg", "krum"]
ADAPTIVE = ["fedadam", "fedyogi", "fedavgm"]
HEAD = {"fc.weight": (1, 4), "fc.bias": (1,)}
LAYER4 = {"layer4.bn.running_mean": (3,), "layer4.bn.running_var": (3,), "layer4.conv": (3, 2)}
STATISTICS = frozenset({"layer4.bn.running_mean", "layer4.bn.running_var"})
SHAPES_BY_ROUND = [HEAD, HEAD, LAYER4 | HEAD, LAYER4 | HEAD, LAYER4 | HEAD]

Precise = dict[str, NDArray[np.float64]]


def aggregator_for(strategy: str, **changes: object) -> Aggregator:
    return build_aggregator(RunConfig(strategy=strategy, **changes), STATISTICS)  # type: ignore[arg-type]


def contributions_of(
    round_number: int, shapes: Mapping[str, tuple[int, ...]], sites: int = 5
) -> list[Contribution]:
    generator = np.random.default_rng(round_number)
    return [
        Contribution(
            {k: generator.normal(size=s).astype(np.float32) for k, s in shapes.items()},
            images=int(generator.integers(1, 50)),
        )
        for _ in range(sites)
    ]


def stacked(contributions: Sequence[Contribution], key: str) -> NDArray[np.float64]:
    return np.stack([c.arrays[key].astype(np.float64) for c in contributions])


def weighted_mean(contributions: Sequence[Contribution], key: str) -> NDArray[np.float64]:
    weights = [c.images for c in contributions]
    return np.asarray(np.average(stacked(contributions, key), axis=0, weights=weights))


def krum_choice(contributions: Sequence[Contribution], malicious: int) -> int:
    flat = np.stack(
        [
            np.concatenate([a.ravel() for k, a in c.arrays.items() if k not in STATISTICS])
            for c in contributions
        ]
    ).astype(np.float64)
    near = len(flat) - malicious - 2
    scores = [np.sort(((flat - one) ** 2).sum(axis=1))[1 : near + 1].sum() for one in flat]
    return int(np.argmin(scores))


def check_rounds(
    aggregator: Aggregator, oracle: Callable[[int, Precise, Sequence[Contribution]], Precise]
) -> None:
    """Five rounds in which a stage thaws in the third; `current` is what came out before."""
    known: Arrays = {}
    for number, shapes in enumerate(SHAPES_BY_ROUND, start=1):
        current = {k: known.get(k, np.zeros(s, np.float32)) for k, s in shapes.items()}
        contributions = contributions_of(number, shapes)
        expected = oracle(
            number, {k: v.astype(np.float64) for k, v in current.items()}, contributions
        )
        result = aggregator.aggregate(number, current, contributions)
        assert list(result) == list(current)
        for key, value in result.items():
            assert value.dtype == np.float32
            np.testing.assert_allclose(value, expected[key], rtol=2e-5, atol=2e-6, err_msg=key)
        known |= result


@pytest.mark.parametrize("strategy", ["fedavg", "fedprox"])
def test_the_mean_is_weighted_by_training_images(strategy: str) -> None:
    check_rounds(
        aggregator_for(strategy),
        lambda _, current, sites: {key: weighted_mean(sites, key) for key in current},
    )


def test_the_median() -> None:
    check_rounds(
        aggregator_for("fedmedian"),
        lambda _, current, sites: {k: np.median(stacked(sites, k), axis=0) for k in current},
    )


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
def test_the_trimmed_mean(share: float) -> None:
    check_rounds(
        aggregator_for("fedtrimmedavg", trim_fraction=share),
        lambda _, current, sites: {
            k: np.asarray(stats.trim_mean(stacked(sites, k), share)) for k in current
        },
    )


@pytest.mark.parametrize("malicious", [0, 1])
def test_krum_takes_the_site_nearest_to_the_others(malicious: int) -> None:
    def oracle(_: int, current: Precise, sites: Sequence[Contribution]) -> Precise:
        chosen = sites[krum_choice(sites, malicious)]
        return {key: chosen.arrays[key].astype(np.float64) for key in current}

    check_rounds(aggregator_for("krum", malicious_sites=malicious), oracle)


def test_krum_judges_by_the_weights_and_takes_the_statistics_along() -> None:
    statistic = next(iter(STATISTICS))
    sites = [
        Contribution({"w": np.full(3, w, np.float32), statistic: np.full(3, s, np.float32)}, 1)
        for w, s in ((0.0, 900.0), (0.1, -900.0), (0.2, 5.0), (5.0, 5.0), (9.0, 5.0))
    ]
    current = {"w": np.zeros(3, np.float32), statistic: np.zeros(3, np.float32)}
    result = aggregator_for("krum", malicious_sites=1).aggregate(1, current, sites)
    np.testing.assert_array_equal(result["w"], sites[1].arrays["w"])
    np.testing.assert_array_equal(result[statistic], sites[1].arrays[statistic])


def test_krum_needs_enough_sites() -> None:
    with pytest.raises(RunError, match="needs 5 sites to withstand malicious-sites=1"):
        aggregator_for("krum", malicious_sites=1).aggregate(
            1, HEAD_ZERO, contributions_of(1, HEAD, sites=4)
        )


def test_krum_never_takes_the_outlier() -> None:
    contributions = contributions_of(1, HEAD)
    contributions[2] = Contribution({k: v + 100 for k, v in contributions[2].arrays.items()}, 10**6)
    result = aggregator_for("krum", malicious_sites=1).aggregate(1, HEAD_ZERO, contributions)
    assert all(np.abs(value).max() < 10 for value in result.values())


HEAD_ZERO = {key: np.zeros(shape, np.float32) for key, shape in HEAD.items()}


@pytest.mark.parametrize(("rate", "used"), [(0.0, 1.0), (0.3, 0.3)])
def test_server_momentum(rate: float, used: float) -> None:
    """Hsu et al., arXiv:1909.06335: v <- 0.9 v + (w - mean), w <- w - rate v."""
    velocity: Precise = {}

    def oracle(_: int, current: Precise, sites: Sequence[Contribution]) -> Precise:
        result = {}
        for key, now in current.items():
            mean = weighted_mean(sites, key)
            velocity[key] = 0.9 * velocity.get(key, np.zeros_like(now)) + (now - mean)
            result[key] = mean if key in STATISTICS else now - used * velocity[key]
        return result

    check_rounds(aggregator_for("fedavgm", server_learning_rate=rate), oracle)


def adaptive_oracle(
    rate: float, *, yogi: bool
) -> Callable[[int, Precise, Sequence[Contribution]], Precise]:
    """Reddi et al., arXiv:2003.00295, algorithm 2, with Adam's bias correction as Flower has it."""
    first: Precise = {}
    second: Precise = {}

    def oracle(number: int, current: Precise, sites: Sequence[Contribution]) -> Precise:
        result = {}
        step = rate * (1 if yogi else np.sqrt(1 - 0.99 ** (number + 1)) / (1 - 0.9 ** (number + 1)))
        for key, now in current.items():
            change = weighted_mean(sites, key) - now
            m, v = first.get(key, np.zeros_like(now)), second.get(key, np.zeros_like(now))
            first[key] = 0.9 * m + 0.1 * change
            yogi_v = v - 0.01 * change**2 * np.sign(v - change**2)
            second[key] = yogi_v if yogi else 0.99 * v + 0.01 * change**2
            result[key] = now + step * first[key] / (np.sqrt(second[key]) + 1e-3)
            if key in STATISTICS:
                result[key] = weighted_mean(sites, key)
        return result

    return oracle


@pytest.mark.parametrize(("rate", "used"), [(0.0, 0.01), (0.1, 0.1)])
@pytest.mark.parametrize("strategy", ["fedadam", "fedyogi"])
def test_adaptive_server_optimisers(strategy: str, rate: float, used: float) -> None:
    aggregator = aggregator_for(strategy, server_learning_rate=rate)
    check_rounds(aggregator, adaptive_oracle(used, yogi=strategy == "fedyogi"))


@pytest.mark.parametrize("strategy", ADAPTIVE)
def test_state_is_kept_by_tensor_and_begins_at_zero(strategy: str) -> None:
    aggregator = aggregator_for(strategy)
    aggregator.aggregate(1, HEAD_ZERO, contributions_of(1, HEAD))
    moments = {"m", "v"} if strategy != "fedavgm" else {"momentum"}
    assert set(aggregator.state) == {f"{m}/{key}" for m in moments for key in HEAD}
    before = dict(aggregator.state)
    only = {"layer4.conv": np.zeros((3, 2), np.float32)}
    aggregator.aggregate(2, only, contributions_of(2, {"layer4.conv": (3, 2)}))
    assert {key: aggregator.state[key] for key in before} == before
    assert not any(key.partition("/")[2] in STATISTICS for key in aggregator.state)
    assert all(value.dtype == np.float32 for value in aggregator.state.values())


@pytest.mark.parametrize("strategy", ALL)
def test_the_state_survives_a_checkpoint(strategy: str, tmp_path: Path) -> None:
    kept, restored = aggregator_for(strategy), aggregator_for(strategy)
    current = HEAD_ZERO
    for number in (1, 2):
        current = kept.aggregate(number, current, contributions_of(number, HEAD))
    save_checkpoint(tmp_path, Checkpoint(2, current, kept.state))
    loaded = load_checkpoint(tmp_path, 2)
    assert loaded is not None
    restored.state = loaded.strategy
    last = contributions_of(3, HEAD)
    expected = kept.aggregate(3, current, last)
    result = restored.aggregate(3, loaded.delta, last)
    assert {k: v.tobytes() for k, v in result.items()} == {
        k: v.tobytes() for k, v in expected.items()
    }


@pytest.mark.parametrize("strategy", ALL)
def test_a_round_leaves_the_arrays_of_the_one_before_alone(strategy: str) -> None:
    """They are written to disk meanwhile."""
    aggregator = aggregator_for(strategy)
    current = HEAD_ZERO
    written: list[tuple[NDArray[np.generic], bytes]] = []
    for number in (1, 2, 3):
        current = aggregator.aggregate(number, current, contributions_of(number, HEAD))
        for array, as_it_was in written:
            assert array.tobytes() == as_it_was
        written = [(a, a.tobytes()) for a in (*current.values(), *aggregator.state.values())]
        for array, _ in written:
            array.setflags(write=False)
    assert written


@pytest.mark.parametrize("strategy", ALL)
def test_the_same_contributions_give_the_same_bytes_and_stay_as_they_are(strategy: str) -> None:
    shapes = LAYER4 | HEAD
    current = {k: np.zeros(s, np.float32) for k, s in shapes.items()}
    contributions = contributions_of(1, shapes)
    results = [aggregator_for(strategy).aggregate(1, current, contributions) for _ in range(2)]
    assert [v.tobytes() for v in results[0].values()] == [v.tobytes() for v in results[1].values()]
    for given_now, at_first in zip(contributions, contributions_of(1, shapes), strict=True):
        assert list(given_now.arrays) == list(at_first.arrays)
        for key, value in at_first.arrays.items():
            assert np.array_equal(given_now.arrays[key], value)


@pytest.mark.parametrize("strategy", ALL)
def test_the_order_of_a_contributions_tensors_does_not_matter(strategy: str) -> None:
    contributions = contributions_of(1, HEAD)
    turned = [Contribution(dict(reversed(c.arrays.items())), c.images) for c in contributions]
    expected = aggregator_for(strategy).aggregate(1, HEAD_ZERO, contributions)
    result = aggregator_for(strategy).aggregate(1, HEAD_ZERO, turned)
    for key, value in expected.items():
        assert np.array_equal(result[key], value)


@pytest.mark.parametrize("strategy", ALL)
def test_one_contribution_is_enough(strategy: str) -> None:
    contributions = contributions_of(1, LAYER4 | HEAD, sites=1)
    current = {k: np.zeros(s, np.float32) for k, s in (LAYER4 | HEAD).items()}
    result = aggregator_for(strategy).aggregate(1, current, contributions)
    for key, value in result.items():
        if strategy not in ("fedadam", "fedyogi") or key in STATISTICS:
            np.testing.assert_allclose(value, contributions[0].arrays[key], rtol=1e-6)
        else:
            assert np.array_equal(np.sign(value), np.sign(contributions[0].arrays[key]))


@pytest.mark.parametrize("strategy", ALL)
def test_no_contribution_is_an_error_and_leaves_the_state(strategy: str) -> None:
    aggregator = aggregator_for(strategy)
    aggregator.aggregate(1, HEAD_ZERO, contributions_of(1, HEAD))
    before = dict(aggregator.state)
    with pytest.raises(RunError, match=r"^The strategy \w+ "):
        aggregator.aggregate(2, HEAD_ZERO, [])
    assert aggregator.state == before


@pytest.mark.parametrize("strategy", ALL)
def test_contributions_that_do_not_fit_each_other(strategy: str) -> None:
    contributions = contributions_of(1, HEAD)
    contributions[1] = Contribution({k: np.zeros(9, np.float32) for k in HEAD}, images=3)
    with pytest.raises(ProtocolError, match=r"fc.weight is float32 \(9,\), not float32 \(1, 4\)"):
        aggregator_for(strategy).aggregate(1, HEAD_ZERO, contributions)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.floats(-1e3, 1e3, width=32), st.integers(1, 10**6)), min_size=1, max_size=6
    )
)
def test_a_mean_lies_among_its_parts(parts: list[tuple[float, int]]) -> None:
    contributions = [
        Contribution({"a": np.array([value], np.float32)}, images) for value, images in parts
    ]
    result = aggregator_for("fedavg").aggregate(1, {"a": np.zeros(1, np.float32)}, contributions)
    values = [value for value, _ in parts]
    assert min(values) - 1e-2 <= result["a"][0] <= max(values) + 1e-2
