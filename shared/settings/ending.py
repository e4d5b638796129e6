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


def averaged_rounds(config: RunConfig) -> range:
    """The rounds whose models are averaged to the model at the end; the last one alone with `last`.

    Statistics that stay at the sites belong to the weights of the last round, so with them nothing
    is averaged.
    """
    last = total_rounds(config)
    if config.end == "last" or statistics_stay_at_sites(config):
        return range(last, last + 1)
    share = math.ceil(round(config.average_share * config.rounds, 9))
    return range(last - max(1, share) + 1, last + 1)


def probe_round(config: RunConfig) -> int | None:
    """The round whose model the sites may choose to stay nearer to; None where nothing is chosen.

    So it is without a probe, where nothing but the head ever trains, and where statistics stay at
    the sites.
    """
    chosen = config.end == "guarded" and trains_body(config)
    if not chosen or not config.probe_rounds or statistics_stay_at_sites(config):
        return None
    return config.probe_rounds


def probe_parts(config: RunConfig) -> tuple[Part, ...]:
    """What may differ from the base after the probe."""
    return stages_ever_thawed(config, config.probe_rounds)
