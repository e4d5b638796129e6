"""Where the frozen prefix of the network ends, in this round and in those to come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from shared.config import RunConfig
from shared.schedule import STAGES, Plan, Stage, plan_round, stages_ever_thawed, total_rounds

MOSTLY_FROZEN: tuple[Stage, ...] = ("layer4", "head")
"""Before these lies most of a network's work, so that features of fixed views save most of it."""

Passes = Mapping[Stage, int]
"""How often the images will be gone through from each boundary, this round included."""


def first_trainable(plan: Plan) -> Stage:
    """The first stage that trains; all before it are a fixed function of the image."""
    return next(stage for stage in STAGES if stage in plan.trainable)


def training_boundary(plan: Plan) -> Stage:
    """The stage whose input a round trains from; the stages before it are frozen.

    The first that trains; but mixing needs maps, and the head's input is kept as averages over
    the positions, so rounds that mix and train the head alone begin at layer4.
    """
    start = first_trainable(plan)
    return "layer4" if start == "head" and plan.cutmix_probability > 0 else start


def draws_from_views(config: RunConfig, boundary: Stage) -> bool:
    """Whether a round from this boundary takes its images from a fixed set of views.

    Where little is frozen, features save little time, and images are augmented again at each draw:
    more pictures to learn from. Without augmentation there is one view anyway.
    """
    return config.augmentation == "none" or boundary in MOSTLY_FROZEN


def evaluation_boundary(untouched: Collection[Stage]) -> Stage:
    """The first stage that is not the base's; the head where all are."""
    return next((stage for stage in STAGES if stage not in untouched), "head")


def training_passes(config: RunConfig, plan: Plan) -> Passes:
    """Passes over the training images in this round and, as planned now, in those after it.

    Of those that take fixed views: nothing is kept for the others.
    """
    ahead = [
        plan,
        *(plan_round(config, r) for r in range(plan.round + 1, total_rounds(config) + 1)),
    ]
    passes = Counter({training_boundary(plan): 0})
    for later in ahead:
        if draws_from_views(config, boundary := training_boundary(later)):
            passes[boundary] += config.local_epochs
    return _frozen_now(passes, training_boundary(plan))


def evaluation_passes(config: RunConfig, after_round: int, boundary: Stage) -> Passes:
    """Passes over the validation images from `boundary` now and, as planned now, later on.

    The evaluation of the model after the last round is among them.
    """
    passes = Counter({boundary: 1})
    for done in range(after_round + 1, total_rounds(config) + 1):
        thawed = stages_ever_thawed(config, done)
        passes[next(stage for stage in STAGES if stage in thawed)] += 1
    return _frozen_now(passes, boundary)


def _frozen_now(passes: Passes, boundary: Stage) -> Passes:
    """Without stages that are thawed already, and without the images themselves."""
    return {
        stage: passes[stage]
        for stage in STAGES[1 : STAGES.index(boundary) + 1]
        if passes.get(stage, 0) > 0
    }
