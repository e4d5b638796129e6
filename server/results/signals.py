"""What a round showed of the units that it trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class UnitSignals:
    """Signals of one unit that trained; distance and agreement by its matrices and convolutions.

    Biases, scales and BatchNorm's statistics are of other sizes, and scales may begin at zero; only
    a unit that is a norm alone is judged by scales and biases.
    """

    distance: float
    """How far the federation's weights moved: L2 norm of their change over that of the weights
    before; 1 where these were all zero and are no more (arXiv:2305.18513 means over elements, of
    which a few that begin at zero would decide)."""
    agreement: float | None
    """How far the sites' updates point the same way, -1 to 1: 1 where they are equal, 0 on average
    where they have nothing in common (`server/aggregation/agreement.py`). None of a single site."""
    signal_to_noise: float | None = None
    """How far a site's gradients of the unit agreed from step to step: by Adam's moments of all its
    parameters |m|^2 / sum(v), in the mean over the sites, weighted as their updates are. 1 where
    they were alike, `noise_alone` on average where they have nothing in common, and more after few
    steps. None where it is not shown, or no site sent it (plain SGD, moments in 8 bits, an earlier
    version). No rule reads it.
    """


@dataclass(frozen=True)
class Signals:
    """A round's signals; what is rounded stands so in memory too, so decisions can be redone."""

    units: Mapping[str, UnitSignals]
    log_loss: float | None
    """Of the validation patients of all sites under the model that entered the round, in nats; None
    is not shown. No rule reads it."""
    refined_loss: float | None = None
    """The same once the scores are recalibrated on these patients (`refined_log_loss`), by which
    schedule=adaptive decides."""
    chance_loss: float | None = None
    """The refined loss has to be below it for the scores to tell these patients apart
    (`chance_log_loss`); None where it is not shown, and in ledgers of earlier versions."""
