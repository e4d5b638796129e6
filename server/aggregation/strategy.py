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
from pathlib import Path

import numpy as np
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

from server.aggregation.collector import AveragingCollector, Collector, SpillingCollector
from shared.settings.config import RunConfig
from shared.wire.arrays import Arrays

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

    @property
    def adds_up(self) -> bool:
        """Whether it begins with the mean, so that an added update need not be kept."""
        return not isinstance(self.strategy, Krum | FedMedian | FedTrimmedAvg)

    def begin(
        self,
        round_number: int,
        current: Mapping[str, NDArray[np.float32]],
        folder: Path | None = None,
    ) -> Collector:
        """A collector of this round's contributions to the current arrays, to be closed.

        The median, the trimmed mean and Krum keep what arrives in `folder`, private and for as
        long as the collector is open; without one in the system's for temporary files.
        """
        if not self.adds_up:
            unjudged = self.averaged_only if isinstance(self.strategy, Krum) else ()
            return SpillingCollector(self.strategy, round_number, current, unjudged, folder)
        return AveragingCollector(
            self.strategy, round_number, current, self.averaged_only, self.state
        )

    def aggregate(
        self,
        round_number: int,
        current: Mapping[str, NDArray[np.float32]],
        contributions: Sequence[Contribution],
    ) -> Arrays:
        """The new arrays from the current ones and the sites' own, keys as in `current`.

        `begin`, with all contributions at hand. Raises what the collector raises.
        """
        with self.begin(round_number, current) as collector:
            for number, contribution in enumerate(contributions):
                collector.add(f"site {number:09}", contribution.arrays, contribution.images)
            return collector.result()


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
