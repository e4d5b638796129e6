"""For whom results are, and the mark of what has passed the rules of this room."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from shared.settings.config import RunConfig

T_co = TypeVar("T_co", covariant=True)


class Audience(Enum):
    """Who reads the results."""

    OWNER = "owner"
    """Of all sites' folders, as in a simulation: nothing on that disk is hidden from them."""
    OTHERS = "others"
    """Anybody else, the coordinator's owner included."""


def audience_of(config: RunConfig) -> Audience:
    """A simulation is its owner's, unless `for-others` is set; every other run is for others."""
    return Audience.OWNER if config.sites and not config.for_others else Audience.OTHERS


@dataclass(frozen=True)
class Shown(Generic[T_co]):
    """A value that its audience may see. Made by `server.disclosure` alone; a test walks this."""

    value: T_co
