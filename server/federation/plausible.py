"""What a site can have: numbers that it says of itself, held against each other."""

from __future__ import annotations

import math

from shared.errors import ProtocolError
from shared.metrics.classes.kinds import Counts, most_patients
from shared.protocol.describe import SiteDescription
from shared.protocol.evaluate import Scope
from shared.protocol.train import TrainReply
from shared.settings.config import RunConfig
from shared.settings.logistic import MOST_ITERATIONS
from shared.settings.schedule import Plan, measures_noise

MOST_IMAGES_OF_A_PATIENT = 1000
"""A child of an intensive care unit may have a hundred radiographs and more."""
_SPARE = 10
"""Patients that a share may be off by: each class is rounded, and has one patient at least."""


def require_plausible_site(site: SiteDescription) -> None:
    """ProtocolError where a site's images do not fit its patients."""
    _require_images(site.images, site.patients)


def require_plausible_training(reply: TrainReply, site: SiteDescription, config: RunConfig) -> None:
    """ProtocolError where a round's numbers do not fit each other or what the site said before."""
    _require_images(reply.images, reply.patients)
    if config.schedule == "logistic":
        if reply.steps > MOST_ITERATIONS:
            raise ProtocolError(
                f"it says that its fit took more than {MOST_ITERATIONS:,} iterations"
            )
        return require_plausible_evaluation(reply.histogram, site, config, "validation")
    if reply.steps > _most_steps(reply.images, config):
        raise ProtocolError(
            "it says that it took more steps than its images make with batch-size "
            f"{config.batch_size} and local-epochs {config.local_epochs}"
        )
    require_plausible_evaluation(reply.histogram, site, config, "validation")


def require_own_units(reply: TrainReply, plan: Plan, config: RunConfig) -> None:
    """ProtocolError where a reply has numbers of units that did not train, or not asked for."""
    if reply.signal_to_noise and not measures_noise(config):
        raise ProtocolError("it sends a signal-to-noise, for which this run does not ask")
    if others := reply.signal_to_noise.keys() - config.network.units_of(plan.trainable):
        raise ProtocolError(
            f"it sends a signal-to-noise of {min(others)}, which did not train in this round"
        )


def require_plausible_evaluation(
    counted: Counts, site: SiteDescription, config: RunConfig, scope: Scope
) -> None:
    """ProtocolError where a site counts more patients than its training patients leave room for.

    Twice the share that the run's settings hold out, for patients who joined since the site
    described itself; at least as many as it trains on.
    """
    held_out = 1 / config.folds if config.folds else 0.0
    training = (1 - held_out) * (1 - config.validation_fraction)
    share = held_out if scope == "test" else (1 - held_out) * config.validation_fraction
    most = math.ceil(site.patients * max(1.0, 2 * share / training)) + _SPARE
    if most_patients(counted) > most:
        raise ProtocolError(
            f"it counts more {scope} patients than its training patients leave room for"
        )


def training_weight(reply: TrainReply, site: SiteDescription) -> int:
    """Images that count in the average: never more than the site described when it joined."""
    return min(reply.images, site.images)


def credited_steps(reply: TrainReply, site: SiteDescription, config: RunConfig) -> int:
    """The local steps by which an update is screened; of a logistic regression its images.

    More steps let a larger update pass, so no more of them count than the images that the site
    joined with would make.
    """
    images = training_weight(reply, site)
    if config.schedule == "logistic":
        return images
    return min(reply.steps, _most_steps(images, config))


def _most_steps(images: int, config: RunConfig) -> int:
    return math.ceil(images / config.batch_size) * config.local_epochs


def _require_images(images: int, patients: int) -> None:
    # No numbers here, since this ends in the ledger, whatever else of the site is hidden there.
    if images < patients:
        raise ProtocolError("it says that it trains on fewer images than patients")
    if images > patients * MOST_IMAGES_OF_A_PATIENT:
        raise ProtocolError(
            f"it says that it trains on more than {MOST_IMAGES_OF_A_PATIENT} images a patient"
        )
