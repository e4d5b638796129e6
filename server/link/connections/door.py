"""The sites' port: connections are accepted, counted and let in before a byte of them is read.

TLS and HTTP begin only for who has been let in, so many a second, in turn by address. What that
costs a stranger nothing to ask for is what it gets: a closed connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
import ssl
import struct
from collections.abc import Callable, Coroutine, Sequence
from functools import partial

from server.link.connections.forwarded import Network, is_proxy, read_forwarded
from server.link.connections.refusals import counted_address
from server.link.connections.turns import Turns
from server.link.connections.visitors import Visitor, Visitors

log = logging.getLogger("fedthaw.server")

BACKLOG = 4096
"""Connections that the system may hold for this process until it accepts them."""
_AT_ONCE = 64
"""Connections that are accepted before the process looks at anything else."""
_PAUSE_SECONDS = 0.01
"""After so many; a flood then costs an eighth of a core at most."""
_BREATH_SECONDS = 1.0
"""Where the system has no file or memory for another connection."""
_HEADER_SECONDS = 5.0
"""A proxy has for its header, which it sends at once."""
_PULSE_SECONDS = 0.05
"""How often it is measured how busy the process is."""
_LATE_SECONDS = 0.02
"""Where everything waits so long for its turn in the event loop, half as many are let in."""
_SLOWEST = 0.15
"""Of the full pace: where it is sites that keep the process busy, others of them still get in."""
_FADING = 0.9
"""From one measurement to the next."""
_CUT = struct.pack("ii", 1, 0)

MakeProtocol = Callable[[Visitor], asyncio.Protocol]


class Door:
    """Accepts the connections of one listening socket; all of it runs in the event loop."""

    def __init__(
        self, listener: socket.socket, protocol: MakeProtocol, tls: ssl.SSLContext | None,
        visitors: Visitors, proxies: Sequence[Network] = (),
    ) -> None:  # fmt: skip
        self._listener, self._protocol, self._tls = listener, protocol, tls
        self._proxies = proxies
        self._visitors = visitors
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._waiting: dict[bool, Turns[socket.socket]] = {
            known: Turns(visitors.share(known), now) for known in (True, False)
        }
        self._entering: set[asyncio.Task[None]] = set()
        self._next: asyncio.TimerHandle | None = None
        self._late = 0.0
        self._closed = False
        self._said = ""

    def open(self) -> None:
        """Listen, and let in who comes."""
        self._listener.setblocking(False)
        self._listener.listen(BACKLOG)
        self._watch()
        self._pulse(self._loop.time())

    def close(self) -> None:
        """Accept nobody any more, and let nobody in who waits; the others stay."""
        self._closed = True
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        for turns in self._waiting.values():
            for _, one in turns.expired(math.inf):
                one.close()
        for task in self._entering:
            task.cancel()

    def tick(self) -> None:
        """What is to be done now and then: call it every half second."""
        self._visitors.sweep()
        patience = self._loop.time() - self._visitors.limits.unknown_seconds
        for turns in self._waiting.values():
            for address, one in turns.expired(patience):
                self._turn_away(address, one)
        self._visitors.refusals.flush(self._loop.time())

    def _pulse(self, due: float) -> None:
        """Measure how late the event loop is: what strangers cost must not be the sites' loss."""
        now = self._loop.time()
        self._late = max(now - due, _FADING * self._late)
        if not self._closed:
            due = now + _PULSE_SECONDS
            self._loop.call_at(due, self._pulse, due)

    def _watch(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener.fileno(), self._arrivals)

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._loop.call_later(seconds, self._watch)

    def _arrivals(self) -> None:
        """Accept who has come; the system may hold more of them."""
        for _ in range(_AT_ONCE):
            try:
                accepted, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:
                self._say_once(f"No connection can be accepted ({error.strerror}); trying again.")
                self._pause(_BREATH_SECONDS)
                break
            accepted.setblocking(False)
            if is_proxy(peer[0], self._proxies):
                self._start(self._introduce(accepted, peer[0]))
            else:
                self._take(accepted, counted_address(peer[0]))
        else:
            self._pause(_PAUSE_SECONDS)
        self._admit_waiting()

    def _say_once(self, complaint: str) -> None:
        if complaint != self._said:
            log.error(complaint)
        self._said = complaint

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = self._loop.create_task(work)
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)

    async def _introduce(self, accepted: socket.socket, proxy: str) -> None:
        """Let the proxy say who it is that waits; its own address counts for nothing."""
        try:
            async with asyncio.timeout(_HEADER_SECONDS):
                address = await read_forwarded(accepted)
        except (ValueError, OSError, TimeoutError):
            self._visitors.refusals.note(proxy, "proxy without a PROXY header of version 2")
            address = None
        if address is None:
            accepted.close()
            return
        self._take(accepted, counted_address(address))
        self._admit_waiting()

    def _take(self, accepted: socket.socket, address: str) -> None:
        known = self._visitors.is_known(address)
        too_many = self._waiting[known].put(address, accepted, self._loop.time())
        if too_many is not None:
            self._turn_away(*too_many)

    def _turn_away(self, address: str, accepted: socket.socket) -> None:
        self._visitors.refusals.note(address, "too many at once")
        cut(accepted)

    def _admit_waiting(self) -> None:
        """Begin with those whose turn it is, and look again when the next one's has come."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._closed:
            return
        pace = max(_SLOWEST, _LATE_SECONDS / (_LATE_SECONDS + self._late))
        for known, turns in self._waiting.items():
            while (one := turns.take(self._loop.time(), _is_there, pace)) is not None:
                address, accepted = one
                visitor = self._visitors.enter(address, known, partial(_shut, accepted))
                self._start(self._begin(visitor, accepted))
        soonest = min(turns.seconds_to_next() for turns in self._waiting.values())
        if soonest < math.inf:
            self._next = self._loop.call_later(soonest / pace, self._admit_waiting)

    async def _begin(self, visitor: Visitor, accepted: socket.socket) -> None:
        """TLS, then HTTP; a connection that proves to be no site's ends by itself."""
        patience = self._visitors.limits.handshake_seconds if self._tls is not None else None
        try:
            await self._loop.connect_accepted_socket(
                partial(self._protocol, visitor), accepted, ssl=self._tls,
                ssl_handshake_timeout=patience,
            )  # fmt: skip
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError
            if not visitor.gone:
                self._visitors.left(visitor)
                visitor.refused("failed TLS handshake")
            cut(accepted)


def _is_there(connection: socket.socket) -> bool:
    """Whether the other end has not closed it; closes it where it has."""
    try:
        there = connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        there = False
    if not there:
        connection.close()
    return there


def cut(connection: socket.socket) -> None:
    """Close it at once; nothing of it stays with the system."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CUT)
    connection.close()


def _shut(connection: socket.socket) -> None:
    """End it under whatever reads and writes there; that closes it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
