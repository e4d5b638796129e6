"""Where the frozen prefix of the network ends, in this round and in those to come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from shared.model.backbone import Backbone, Part
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan, plan_round, stages_ever_thawed, total_rounds

Passes = Mapping[Part, int]
"""How often the images will be gone through from each boundary, this round included; in the
network's order. A boundary is named by what begins there, a stage or a unit within one."""


def training_boundary(config: RunConfig, plan: Plan) -> Part:
    """Where the longest frozen prefix ends, whose output a round trains from.

    Before the first unit that trains; but mixing needs maps, and the head's input is kept as
    averages over the positions, so rounds that mix and train the head alone begin a stage earlier.
    Tokens are no maps: rounds that mix begin at the images.
    """
    network, start = config.network, config.network.first_of(plan.trainable)
    if plan.cutmix_probability == 0:
        return start
    if network.tokens:
        return network.stages[0]
    return network.last_maps if start == network.head else start


def draws_from_views(config: RunConfig, boundary: Part) -> bool:
    """Whether a round from this boundary takes its images from a fixed set of views.

    Where little is frozen, features save little time, and images are augmented again at each draw:
    more pictures to learn from. Without augmentation there is one view anyway. With a teacher
    none are kept.
    """
    if config.teacher:  # which sees the images themselves
        return False
    network = config.network
    mostly_frozen = network.position(boundary) >= network.position(network.last_maps)
    return config.augmentation == "none" or mostly_frozen


def evaluation_boundary(backbone: Backbone, untouched: Collection[str]) -> Part:
    """Before the first unit that is not the base's; the head where all are."""
    changed = backbone.other_units(untouched)
    return backbone.first_of(changed) if changed else backbone.head


def training_passes(config: RunConfig, plan: Plan) -> Passes:
    """Passes over the training images in this round and, as planned now, in those after it.

    Of those that take fixed views: nothing is kept for the others.
    """
    ahead = [
        plan,
        *(plan_round(config, r) for r in range(plan.round + 1, total_rounds(config) + 1)),
    ]
    passes: Counter[Part] = Counter()
    for later in ahead:
        if draws_from_views(config, boundary := training_boundary(config, later)):
            passes[boundary] += config.local_epochs
    return _frozen_now(config, passes, training_boundary(config, plan))


def evaluation_passes(config: RunConfig, after_round: int, boundary: Part) -> Passes:
    """Passes over the validation images from `boundary` now and, as planned now, later on.

    The evaluation of the model after the last round is among them.
    """
    passes = Counter({boundary: 1})
    for done in range(after_round + 1, total_rounds(config) + 1):
        passes[config.network.first_of(stages_ever_thawed(config, done))] += 1
    return _frozen_now(config, passes, boundary)


def _frozen_now(config: RunConfig, passes: Passes, boundary: Part) -> Passes:
    """Without boundaries behind what is thawed already, and without the images themselves."""
    place = config.network.position
    frozen = [one for one in passes if 0 < place(one) <= place(boundary) and passes[one] > 0]
    return {one: passes[one] for one in sorted(frozen, key=place)}
