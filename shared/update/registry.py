"""All steps, in the order in which an update passes them at its site.

The order is part of the meaning (noise before clipping would be none), so it stands here, and a
run's settings say which of them are used.
"""

from __future__ import annotations

from shared.update.clip import CLIP
from shared.update.quantise import QUANTISE
from shared.update.step import Packing, Settings, Step, Transform

TRANSFORMS: tuple[Transform, ...] = (CLIP,)
PACKING: Packing = QUANTISE


def steps_of(settings: Settings) -> tuple[Step, ...]:
    """The steps of a run's updates in their order."""
    return (*transforms_of(settings), PACKING)


def transforms_of(settings: Settings) -> tuple[Transform, ...]:
    """The transforms before the packing."""
    return tuple(one for one in TRANSFORMS if one.used(settings))


def check_update(settings: Settings) -> None:
    """ConfigError where a step that is used cannot work under these settings."""
    for step in steps_of(settings):
        step.check(settings)


def in_words(settings: Settings) -> str:
    """How an update leaves: its number format, then what was done to it before."""
    steps = (PACKING, *transforms_of(settings))
    return ", ".join(step.words(settings) for step in steps)
