"""A stranger on the loopback, as a process: `push.py KIND PORT SECONDS ADDRESS...`.

It pushes in one way for so many seconds from these loopback addresses, and ends. What the server
closes is opened again. It prints how many connections it opened, and how many bytes it sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import json
import resource
import ssl
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

LINES = b"".join(b"x-%d: %s\r\n" % (number, b"y" * 20) for number in range(2000))
ASK = b"GET /health HTTP/1.1\r\nHost: hub\r\n\r\n"
PAUSE = 0.02
"""Seconds before a connection is opened again that was closed; a stranger has other work too."""


def _careless() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@dataclass
class Stranger:
    """Where it pushes to, from where, until when, and what it has done."""

    port: int
    until: float
    addresses: tuple[str, ...]
    opened: int = 0
    sent: int = 0
    tls: ssl.SSLContext = field(default_factory=_careless)

    async def open(self, *, tls: bool = True) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        source = self.addresses[self.opened % len(self.addresses)]
        self.opened += 1
        return await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(source, 0), ssl=self.tls if tls else None
        )

    async def send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if writer.is_closing():
            raise ConnectionResetError
        writer.write(data)
        await writer.drain()
        self.sent += len(data)

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self.until


Way = Callable[[Stranger], Coroutine[Any, Any, None]]


async def headers(stranger: Stranger) -> None:
    """Header lines without end."""
    _, writer = await stranger.open()
    with contextlib.closing(writer):
        await stranger.send(writer, b"GET /health HTTP/1.1\r\nHost: hub\r\n")
        while stranger.goes_on:
            await stranger.send(writer, LINES)
            await asyncio.sleep(0.05)


async def one_line(stranger: Stranger) -> None:
    """A header line without end."""
    _, writer = await stranger.open()
    with contextlib.closing(writer):
        await stranger.send(writer, b"GET /health HTTP/1.1\r\nHost: ")
        while stranger.goes_on:
            await stranger.send(writer, b"y" * 2**16)
            await asyncio.sleep(0.05)


async def kept(stranger: Stranger) -> None:
    """A request that is answered, then header lines without end on the same connection."""
    _, writer = await stranger.open()
    with contextlib.closing(writer):
        await stranger.send(writer, ASK + b"GET /health HTTP/1.1\r\n")
        while stranger.goes_on:
            await stranger.send(writer, LINES * 8)


async def idle(stranger: Stranger) -> None:
    """A connection on which nothing is said."""
    reader, writer = await stranger.open(tls=False)
    with contextlib.closing(writer):
        await reader.read()


async def idle_tls(stranger: Stranger) -> None:
    """An encrypted connection on which nothing is asked."""
    reader, writer = await stranger.open()
    with contextlib.closing(writer):
        await reader.read()


async def half_hello(stranger: Stranger) -> None:
    """The beginning of a handshake, and no more."""
    reader, writer = await stranger.open(tls=False)
    with contextlib.closing(writer):
        await stranger.send(writer, b"\x16\x03\x01\x02\x00\x01\x00")
        await reader.read()


async def slow(stranger: Stranger) -> None:
    """A byte of a header now and then."""
    _, writer = await stranger.open()
    with contextlib.closing(writer):
        for byte in itertools.cycle(ASK[:20]):
            await stranger.send(writer, bytes([byte]))
            await asyncio.sleep(1)


async def body(stranger: Stranger) -> None:
    """A body without end that nobody has asked for."""
    _, writer = await stranger.open()
    with contextlib.closing(writer):
        await stranger.send(writer, b"POST /v1/fleet/push-object HTTP/1.1\r\nHost: hub\r\n")
        await stranger.send(writer, b"Transfer-Encoding: chunked\r\n\r\n")
        while stranger.goes_on:
            await stranger.send(writer, b"10000\r\n" + b"z" * 2**16 + b"\r\n")


async def pipeline(stranger: Stranger) -> None:
    """Requests without waiting for answers."""
    _, writer = await stranger.open()
    with contextlib.closing(writer):
        while stranger.goes_on:
            await stranger.send(writer, ASK * 1000)


async def churn(stranger: Stranger) -> None:
    """Handshake, request, answer, and again."""
    reader, writer = await stranger.open()
    with contextlib.closing(writer):
        await stranger.send(writer, ASK)
        await reader.read()


async def knock(stranger: Stranger) -> None:
    """Connections that are closed as soon as they are open."""
    _, writer = await stranger.open(tls=False)
    writer.transport.abort()


WAYS: dict[str, tuple[Way, int]] = {
    "headers": (headers, 8), "one-line": (one_line, 8), "kept": (kept, 2), "idle": (idle, 4096),
    "idle-tls": (idle_tls, 4200), "half-hello": (half_hello, 2048), "slow": (slow, 512),
    "body": (body, 4), "pipeline": (pipeline, 4), "churn": (churn, 64), "knock": (knock, 16),
}  # fmt: skip
"""Each way, and by how many connections at once."""


async def _again_and_again(stranger: Stranger, way: Way) -> None:
    while stranger.goes_on:
        with contextlib.suppress(OSError, EOFError, ssl.SSLError, asyncio.TimeoutError):
            async with asyncio.timeout_at(
                asyncio.get_running_loop().time() + stranger.until - time.monotonic()
            ):
                await way(stranger)
        await asyncio.sleep(PAUSE)


async def push(kind: str, stranger: Stranger) -> None:
    way, count = WAYS[kind]
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    await asyncio.gather(*(_again_and_again(stranger, way) for _ in range(count)))


def main() -> None:
    kind, port, seconds, *addresses = sys.argv[1:]
    if not all(ipaddress.ip_address(one).is_loopback for one in addresses):
        sys.exit("This pushes from loopback addresses only.")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    until = time.monotonic() + min(float(seconds), 60.0)
    stranger = Stranger(int(port), until, tuple(addresses))
    asyncio.run(push(kind, stranger))
    sys.stdout.write(json.dumps({"opened": stranger.opened, "sent": stranger.sent}))


if __name__ == "__main__":
    main()
