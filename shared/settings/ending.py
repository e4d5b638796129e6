"""Which model a run ends with: what its last rounds are averaged with, and what may be chosen."""

from __future__ import annotations

import math

from shared.model.backbone import Part
from shared.settings.config import RunConfig
from shared.settings.schedule import (
    stages_ever_thawed,
    statistics_stay_at_sites,
    total_rounds,
    trains_body,
)

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the way from the probe's last model to the end: the candidates of end=guarded."""


def averaged_rounds(config: RunConfig, last: int | None = None) -> range:
    """The rounds whose models are averaged to the model at the end; that round alone with `last`.

    Statistics that stay at the sites belong to the weights of the last round, so with them nothing
    is averaged, nor where a logistic regression is fitted. `last` is the run's last round, which
    schedule=adaptive may bring forward; then no more is averaged than the rounds since the cut.
    """
    early = last is not None and last < total_rounds(config)
    last = total_rounds(config) if last is None else last
    fitted = config.schedule == "logistic"
    if config.end == "last" or fitted or statistics_stay_at_sites(config):
        return range(last, last + 1)
    share = math.ceil(round(config.average_share * (last - config.probe_rounds), 9))
    most = config.patience if early else config.rounds
    return range(last - max(1, min(share, most)) + 1, last + 1)


def stays_near_probe(config: RunConfig) -> bool:
    """Whether the sites choose how near to the probe's last model the run ends.

    Nothing is chosen without a probe, where nothing but the head ever trains, and where statistics
    stay at the sites.
    """
    chosen = config.end == "guarded" and trains_body(config)
    return chosen and config.probe_rounds > 0 and not statistics_stay_at_sites(config)


def probe_parts(config: RunConfig) -> tuple[Part, ...]:
    """What may differ from the base after the probe."""
    return stages_ever_thawed(config, config.probe_rounds)
