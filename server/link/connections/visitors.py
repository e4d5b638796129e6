"""Who is connected at the sites' port: registered sites by their keys, everybody else by address.

A connection is a stranger's until a request on it bears a registered site's signature. Strangers
have so many connections together and so many an address; where one more comes, the oldest of them
goes, so that nobody can hold the door shut by standing in it. Sites' connections are not theirs to
take.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from server.link.connections.limits import Limits, Share
from server.link.connections.refusals import Refusals

KNOWN_SECONDS = 3600.0
"""For so long after a site's last request its address counts as known."""


@dataclass(eq=False)
class Visitor:
    """One connection."""

    address: str
    """As `counted_address` gives it."""
    known: bool
    """Whether a site was heard from this address lately."""
    leave: Callable[[], None]
    """Cuts the connection; may be called again."""
    among: Visitors
    since: float
    """When it was let in, by the clock of `among`."""
    node: int | None = None
    """The registered site whose signature was seen on this connection."""
    gone: bool = False
    """Whether it has ended; a request of before may still be answered."""

    def recognise(self, node: int) -> bool:
        """A registered site has signed a request on it; False where that has too many already."""
        return self.among.recognise(self, node)

    def refused(self, why: str) -> None:
        """Count a refusal for the log."""
        self.among.refusals.note(self.address, why)


@dataclass
class Visitors:
    """All connections of a port."""

    limits: Limits
    refusals: Refusals
    clock: Callable[[], float] = time.monotonic
    _strangers: dict[bool, dict[Visitor, None]] = field(
        default_factory=lambda: {False: {}, True: {}}
    )
    """By whether the address is known; the oldest come first."""
    _of_site: Counter[int] = field(default_factory=Counter)
    _heard: dict[str, float] = field(default_factory=dict)
    """When a site was heard last from an address."""

    def share(self, known: bool) -> Share:
        """What is set aside for known addresses, or for the others."""
        return self.limits.known if known else self.limits.unknown

    def is_known(self, address: str) -> bool:
        """Whether a registered site was heard from this address lately."""
        heard = self._heard.get(address)
        if heard is None:
            return False
        if self.clock() - heard > KNOWN_SECONDS:
            del self._heard[address]
            return False
        return True

    def enter(self, address: str, known: bool, leave: Callable[[], None]) -> Visitor:
        """Take a connection in as a stranger's; where that is one too many, the oldest goes."""
        visitor = Visitor(address, known, leave, self, self.clock())
        self._make_room_for(visitor)
        return visitor

    def _make_room_for(self, visitor: Visitor) -> None:
        strangers = self._strangers[visitor.known]
        strangers[visitor] = None
        numbers = Counter(one.address for one in strangers)
        crowd = numbers[visitor.address] > self.limits.of_address
        if not crowd and len(strangers) <= self.share(visitor.known).at_once:
            return
        # With too many in all, it is an address that has most who gives one up.
        busiest = visitor.address if crowd else numbers.most_common(1)[0][0]
        oldest = next(one for one in strangers if one.address == busiest)
        self.dismiss(oldest, "no request yet, closed for a newer one")

    def recognise(self, visitor: Visitor, node: int) -> bool:
        """Count the connection as this site's; False where it has too many, or this has ended."""
        if visitor.gone:
            return False
        if visitor.node != node:
            if self._of_site[node] >= self.limits.of_site:
                return False
            self._forget(visitor)
            visitor.node = node
            self._of_site[node] += 1
        self._heard[visitor.address] = self.clock()
        return True

    def dismiss(self, visitor: Visitor, why: str) -> None:
        """Cut a stranger's connection; one that is a site's or that has ended is left alone."""
        if visitor in self._strangers[visitor.known]:
            self.left(visitor)
            visitor.refused(why)
            visitor.leave()

    def sweep(self) -> None:
        """Cut the connections that have not proved for too long that they are a site's."""
        deadline = self.clock() - self.limits.unknown_seconds
        for one in self.all_strangers():
            if one.since < deadline:
                self.dismiss(one, "no request of a registered site in time")

    def left(self, visitor: Visitor) -> None:
        """The connection has ended; may be said again."""
        visitor.gone = True
        self._forget(visitor)

    def _forget(self, visitor: Visitor) -> None:
        self._strangers[visitor.known].pop(visitor, None)
        if visitor.node is not None:
            self._of_site[visitor.node] -= 1
            if not self._of_site[visitor.node]:
                del self._of_site[visitor.node]
            visitor.node = None

    def all_strangers(self) -> tuple[Visitor, ...]:
        """The connections on which no site was recognised."""
        return (*self._strangers[True], *self._strangers[False])
