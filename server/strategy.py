"""Flower's strategies over the exchanged tensors.

A strategy sees float32 arrays "weights minus base" of the trainable stages only, the same before
and after: its arithmetic depends on differences alone. Strategies with a state of their own are
given zeros for the tensors of a stage that has just thawed. BatchNorm statistics are no weights to
step along: server optimisers would overshoot and turn variances negative, so these are averaged.
Krum judges the sites by their weights, since statistics are larger by orders of magnitude.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from flwr.app import Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import (
    FedAdam,
    FedAvg,
    FedAvgM,
    FedMedian,
    FedProx,
    FedTrimmedAvg,
    FedYogi,
    Krum,
)
from numpy.typing import NDArray

from shared.config import RunConfig
from shared.errors import RunError
from shared.wire.arrays import Arrays, to_record

WEIGHT_KEY = "num-examples"
_USUAL_RATES = {"fedadam": 0.01, "fedyogi": 0.01, "fedavgm": 1.0}


@dataclass(frozen=True)
class Contribution:
    """One site's part of an average: its tensors and its number of training images."""

    arrays: Arrays
    images: int


@dataclass
class Aggregator:
    """A strategy by name, with the state that it carries from round to round."""

    strategy: FedAvg
    averaged_only: frozenset[str] = frozenset()
    """Tensors that server optimisers and Krum do not work on: BatchNorm statistics."""
    state: Arrays = field(default_factory=dict)
    """`<moment>/<tensor>`; kept in checkpoints."""

    def aggregate(
        self,
        round_number: int,
        current: Mapping[str, NDArray[np.float32]],
        contributions: Sequence[Contribution],
    ) -> Arrays:
        """The new arrays from the current ones and the sites' own, keys as in `current`.

        Raises RunError where the strategy cannot combine so few contributions.
        """
        _require_enough(self.strategy, len(contributions))
        apart = _has_server_optimizer(self.strategy) or isinstance(self.strategy, Krum)
        averaged = set(current) & self.averaged_only if apart else set()
        stepped = {key: value for key, value in current.items() if key not in averaged}
        _give_state(self.strategy, stepped, self.state)
        result = _run(self.strategy, round_number, contributions, stepped)
        self.state |= _take_state(self.strategy, list(stepped))
        if isinstance(self.strategy, Krum):
            contributions = [_chosen(contributions, result)]
        if averaged:
            result |= _run(FedAvg(), round_number, contributions, averaged)
        return {key: result[key].astype(np.float32) for key in current}


def build_aggregator(config: RunConfig, statistics: Collection[str]) -> Aggregator:
    """The aggregator that `strategy` names; `statistics` are the BatchNorm statistics' keys."""
    return Aggregator(_build_strategy(config), frozenset(statistics))


def _build_strategy(config: RunConfig) -> FedAvg:
    rate = config.server_learning_rate or _USUAL_RATES.get(config.strategy, 1.0)
    match config.strategy:
        case "fedavg":
            return FedAvg()
        case "fedprox":
            return FedProx(proximal_mu=config.proximal_mu)
        case "fedadam":
            return FedAdam(eta=rate, beta_1=config.server_momentum)
        case "fedyogi":
            return FedYogi(eta=rate, beta_1=config.server_momentum)
        case "fedavgm":
            return FedAvgM(server_learning_rate=rate, server_momentum=config.server_momentum)
        case "fedmedian":
            return FedMedian()
        case "fedtrimmedavg":
            return FedTrimmedAvg(beta=config.trim_fraction)
        case "krum":
            return Krum(num_malicious_nodes=config.malicious_sites)
    raise ValueError(f"no strategy '{config.strategy}'")


def _has_server_optimizer(strategy: FedAvg) -> bool:
    return isinstance(strategy, FedAdam | FedYogi | FedAvgM)


def _chosen(contributions: Sequence[Contribution], result: Arrays) -> Contribution:
    """The contribution that Krum took, so that its BatchNorm statistics come along."""
    return next(
        c for c in contributions if all(np.array_equal(c.arrays[k], v) for k, v in result.items())
    )


def _require_enough(strategy: FedAvg, sites: int) -> None:
    """Krum (arXiv:1703.02757) withstands f sites among at least 2 f + 3."""
    if isinstance(strategy, Krum) and strategy.num_malicious_nodes > 0:
        needed = 2 * strategy.num_malicious_nodes + 3
        if sites < needed:
            raise RunError(
                f"Krum needs {needed} sites to withstand malicious-sites="
                f"{strategy.num_malicious_nodes}, but {sites} sent an update; raise min-sites to "
                f"{needed}, or lower malicious-sites."
            )


def _run(
    strategy: FedAvg,
    round_number: int,
    contributions: Sequence[Contribution],
    keys: Collection[str],
) -> Arrays:
    """Aggregate these keys; messages are made anew, since some strategies empty them."""
    replies = [_as_reply(contribution, keys) for contribution in contributions]
    try:
        arrays, _ = strategy.aggregate_train(round_number, replies)
    except Exception as error:
        raise RunError(
            f"The strategy {type(strategy).__name__} could not combine the updates of "
            f"{len(contributions)} sites ({error}); another `strategy`, or more sites, would help."
        ) from error
    if arrays is None:
        raise RunError(f"The strategy {type(strategy).__name__} had no update to combine.")
    return {key: np.asarray(array.numpy()) for key, array in arrays.items()}


def _as_reply(contribution: Contribution, keys: Collection[str]) -> Message:
    # In the order of `keys`: FedAvgM pairs its tensors by position.
    record = to_record({key: contribution.arrays[key] for key in keys})
    content = RecordDict(
        {"arrays": record, "metrics": MetricRecord({WEIGHT_KEY: contribution.images})}
    )
    return Message(content, dst_node_id=0, message_type="train")


def _give_state(
    strategy: FedAvg,
    current: Mapping[str, NDArray[np.float32]],
    state: Mapping[str, NDArray[np.float32]],
) -> None:
    """Set what Flower's strategies would have kept, with zeros for tensors new to them."""

    def moment(name: str) -> Arrays:
        return {key: state.get(f"{name}/{key}", np.zeros_like(v)) for key, v in current.items()}

    if isinstance(strategy, FedAdam | FedYogi):
        strategy.current_arrays = dict(current)
        strategy.m_t, strategy.v_t = moment("m"), moment("v")
    elif isinstance(strategy, FedAvgM):
        strategy.current_arrays = to_record(dict(current))
        strategy.momentum_vector = list(moment("momentum").values())


def _take_state(strategy: FedAvg, keys: Sequence[str]) -> Arrays:
    """Read the state back, as float32 by tensor name."""
    moments: dict[str, Mapping[str, NDArray[np.float32]]] = {}
    if isinstance(strategy, FedAdam | FedYogi):
        moments = {"m": strategy.m_t or {}, "v": strategy.v_t or {}}
    elif isinstance(strategy, FedAvgM):
        moments = {"momentum": dict(zip(keys, strategy.momentum_vector or [], strict=True))}
    return {
        f"{name}/{key}": value.astype(np.float32)
        for name, values in moments.items()
        for key, value in values.items()
    }
