"""Accepted connections that wait to be let in: in turn by address, so many a second."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from typing import Generic, TypeVar

from server.link.limits import Share

_T = TypeVar("_T")


class FairQueue(Generic[_T]):
    """First come, first served within an address; addresses take turns.

    Who opens thousands of connections waits behind itself alone.
    """

    def __init__(self, share: Share, of_address: int, now: float) -> None:
        self._share, self._of_address = share, of_address
        self._waiting: OrderedDict[str, deque[_T]] = OrderedDict()
        self._number = 0
        self._tokens, self._at = float(share.burst), now

    def __len__(self) -> int:
        return self._number

    def put(self, address: str, one: _T) -> _T | None:
        """Let it wait; returns who must go instead, which may be the same one.

        That is the newcomer where its address has as many waiting as it may, and the last one of
        the address with most where as many wait as may in all.
        """
        queue = self._waiting.setdefault(address, deque())
        queue.append(one)
        self._number += 1
        if len(queue) > self._of_address:
            longest = queue
        elif self._number > self._share.waiting:
            longest = max(self._waiting.values(), key=len)
        else:
            return None
        self._number -= 1
        return longest.pop()

    def take(self, now: float) -> tuple[str, _T] | None:
        """The next one to be let in; None where none waits or it is not time yet."""
        elapsed, self._at = max(0.0, now - self._at), now
        self._tokens = min(self._share.burst, self._tokens + elapsed * self._share.per_second)
        if not self._number or self._tokens < 1:
            return None
        self._tokens -= 1
        self._number -= 1
        address, queue = self._waiting.popitem(last=False)
        while not queue:  # who had to go left it empty
            address, queue = self._waiting.popitem(last=False)
        one = queue.popleft()
        if queue:
            self._waiting[address] = queue  # behind the others
        return address, one

    def seconds_to_next(self) -> float:
        """After so long `take` has one; infinite where none waits. Counted from the last `take`."""
        if not self._number:
            return math.inf
        return max(0.0, 1 - self._tokens) / self._share.per_second
