"""Accepted connections that wait to be let in: addresses in turn, so many a second."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

from server.link.connections.limits import Share

_T = TypeVar("_T")


class Turns(Generic[_T]):
    """Addresses take turns, and of an address it is who came last.

    Who opens thousands of connections stands in its own way alone. Last in, first out, because
    whoever waits long is either such a one or has given up: a newcomer of the same address, a site
    behind the same router, is let in at once, and those who only stand there go on standing there.
    """

    def __init__(self, share: Share, now: float) -> None:
        self._share = share
        self._waiting: OrderedDict[str, deque[tuple[float, _T]]] = OrderedDict()
        """By address, the oldest first; never empty."""
        self._number = 0
        self._tokens, self._at = float(share.burst), now

    def __len__(self) -> int:
        return self._number

    def put(self, address: str, one: _T, now: float) -> tuple[str, _T] | None:
        """Let it wait; where that is one too many, returns who must go, with its address.

        That is the oldest one of the address that has most.
        """
        self._waiting.setdefault(address, deque()).append((now, one))
        self._number += 1
        if self._number <= self._share.waiting:
            return None
        most = max(self._waiting, key=lambda one: len(self._waiting[one]))
        return most, self._oldest_of(most)

    def take(
        self, now: float, is_there: Callable[[_T], bool], pace: float = 1.0
    ) -> tuple[str, _T] | None:
        """Who is to be let in now; None where nobody waits or it is not time yet.

        Who is not there any more is passed over, and forgotten. `pace` in (0, 1] slows the time
        since the last call.
        """
        elapsed, self._at = max(0.0, now - self._at), now
        earned = elapsed * self._share.per_second * pace
        self._tokens = min(self._share.burst, self._tokens + earned)
        while self._number and self._tokens >= 1:
            self._number -= 1
            address, stack = self._waiting.popitem(last=False)
            _, one = stack.pop()
            if stack:
                self._waiting[address] = stack  # behind the others
            if is_there(one):
                self._tokens -= 1
                return address, one
        return None

    def seconds_to_next(self) -> float:
        """How long after the last `take` there is somebody to be let in; infinite for nobody."""
        if not self._number:
            return math.inf
        return max(0.0, 1 - self._tokens) / self._share.per_second

    def expired(self, before: float) -> list[tuple[str, _T]]:
        """Remove and return those who have waited since before this time."""
        gone = []
        for address in list(self._waiting):
            while address in self._waiting and self._waiting[address][0][0] < before:
                gone.append((address, self._oldest_of(address)))
        return gone

    def _oldest_of(self, address: str) -> _T:
        stack = self._waiting[address]
        _, one = stack.popleft()
        if not stack:
            del self._waiting[address]
        self._number -= 1
        return one
