"""How long a study still takes, by what its runs have taken since it was started."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from server.terminal.rough import time_in_words


@dataclass
class Pace:
    """Counts finished runs by a clock; `done` of them were finished before it was started."""

    done: int
    clock: Callable[[], float] = time.monotonic
    _begun: float = field(init=False)

    def __post_init__(self) -> None:
        """Start the clock."""
        self._begun = self.clock()

    def left(self, done: int, total: int) -> str:
        """After so many of `total` runs: `; about 2 h 05 min left`, empty where nothing is left."""
        finished = done - self.done
        if finished < 1 or done >= total:
            return ""
        seconds = (self.clock() - self._begun) / finished * (total - done)
        return f"; about {time_in_words(seconds)} left"
