"""The memory that sites' replies take at the coordinator, from their announcement on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

REPLY_LIMIT = 2**28
"""Bytes that one reply may have; a whole ResNet-50 in float32 has 94 MB."""
HELD_LIMIT = 3 * 2**28
"""Bytes of replies that are on their way or wait for the coordinator: eight whole networks. One
more upload is then asked to wait, so that this process's memory does not grow with the sites."""
_FORGOTTEN_SECONDS = 30.0
"""After so long a reply that was announced and of which nothing came is no longer counted."""


@dataclass(frozen=True)
class _Announced:
    """What a site's reply takes here, and when a part of it came last."""

    node: int
    size: int
    since: float


class ReplyRoom:
    """Replies that the coordinator has not fetched, by message; thread-safe."""

    def __init__(self) -> None:
        self._announced: dict[str, _Announced] = {}
        self._lock = threading.Lock()

    def announce(
        self, node: int, message_id: str, size: int, is_whole: Callable[[str], bool]
    ) -> bool:
        """Make room for a site's reply of so many bytes; False where the site must wait.

        A site has one reply under way: what it announced before is given up. A reply that is whole
        is never forgotten. Where nothing else is held, one is let in however large, up to
        REPLY_LIMIT.
        """
        now = time.monotonic()
        with self._lock:
            self._announced = {
                one: reply
                for one, reply in self._announced.items()
                if reply.node != node and (is_whole(one) or now - reply.since < _FORGOTTEN_SECONDS)
            }
            held = sum(reply.size for reply in self._announced.values())
            if size > REPLY_LIMIT or (held and held + size > HELD_LIMIT):
                return False
            self._announced[message_id] = _Announced(node, size, now)
            return True

    def of(self, message_ids: set[str]) -> int:
        """The bytes that these replies may have; a part of them has just come."""
        with self._lock:
            replies = {one: self._announced[one] for one in message_ids & self._announced.keys()}
            for one, reply in replies.items():
                self._announced[one] = replace(reply, since=time.monotonic())
        return sum(reply.size for reply in replies.values()) if replies else REPLY_LIMIT

    def give_back(self, message_id: str) -> None:
        """The reply has been fetched."""
        with self._lock:
            self._announced.pop(message_id, None)

    def clear(self) -> None:
        """Nobody waits for any of them."""
        with self._lock:
            self._announced.clear()
