"""`update-clip`: no site changes the weights by more than a given L2 norm in a round.

The update of all weights and biases is scaled down to that norm where it is larger (McMahan et al.,
arXiv:1710.06963, section 3, "flat clipping"). BatchNorm statistics are left as they are: they are
no weights, and larger by orders of magnitude. It is a bound on what one site can do to the model,
not differential privacy: there is no noise, and what stays below the norm leaves as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import ProtocolError
from shared.update.norm import l2_norm
from shared.update.step import Passage, Settings, Transform

if TYPE_CHECKING:
    from shared.wire.arrays import Arrays

_ROUNDING = 1e-5
"""Relative; scaling in float32 may end as far above the limit."""
_EXCESS = 2.0
"""How far rounding to `update-dtype` and the error feedback can take an update above the limit:
int8 is off by half a step, a share of a channel's size."""


def _used(settings: Settings) -> bool:
    return settings.update_clip > 0


def _words(settings: Settings) -> str:
    return f"scaled down together to an L2 norm of at most {settings.update_clip:g}"


def _at_site(update: Arrays, state: Arrays, passage: Passage) -> tuple[Arrays, Arrays]:
    return _clipped(update, passage, l2_norm(update, passage.statistics)), state


def _at_coordinator(update: Arrays, passage: Passage) -> Arrays:
    """The bound holds here whatever the site did; a site that did not clip is refused."""
    norm, limit = l2_norm(update, passage.statistics), passage.settings.update_clip
    if norm > _EXCESS * limit:
        raise ProtocolError(
            f"its update has an L2 norm of {norm:.3g}, and update-clip is {limit:g}: it was not "
            "clipped there"
        )
    return _clipped(update, passage, norm)


def _clipped(update: Arrays, passage: Passage, norm: float) -> Arrays:
    limit = passage.settings.update_clip
    if norm <= limit * (1 + _ROUNDING):
        return update
    factor = limit / norm
    return {
        name: array if name in passage.statistics else array * array.dtype.type(factor)
        for name, array in update.items()
    }


CLIP = Transform(
    name="clip", used=_used, words=_words, at_site=_at_site, at_coordinator=_at_coordinator
)
