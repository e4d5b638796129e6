"""The sites' port as strangers and sites find it: real connections over the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from server.link.connections.asgi import closing, read_body, refuse
from server.link.connections.forwarded import Network, parse_proxies
from server.link.connections.limits import Limits, Share
from server.link.connections.listening import bind, door_of, new_server
from server.link.connections.refusals import Refusals
from server.link.connections.strict import VISITOR
from server.link.connections.visitors import Visitors
from shared.deployment.names import LOOPBACK

SHARE = Share(per_second=1000.0, burst=100, at_once=12, waiting=50)
LIMITS = replace(
    Limits(), head_bytes=1000, head_lines=20, head_seconds=0.5, body_bytes=2000,
    unknown_seconds=0.7, linger_seconds=0.1, of_address=8, known=SHARE, unknown=SHARE,
)  # fmt: skip
STRANGER = "127.0.0.9"
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Kept(Refusals):
    """Counts, and logs nothing, so that everything stays counted."""

    def flush(self, now: float) -> None:
        pass


@dataclass
class Port:
    """A port with its door, and an app that takes a request with `site` for site 7's."""

    address: tuple[str, int]
    visitors: Visitors
    bodies: list[bytes]
    opened: list[asyncio.StreamWriter] = field(default_factory=list)

    async def open(self, source: str = STRANGER) -> Ends:
        ends = await asyncio.open_connection(*self.address, local_addr=(source, 0))
        self.opened.append(ends[1])
        return ends

    @property
    def counted(self) -> dict[tuple[str, str], int]:
        return dict(self.visitors.refusals._counted)


@contextlib.asynccontextmanager
async def served(limits: Limits = LIMITS, proxies: tuple[Network, ...] = ()) -> AsyncIterator[Port]:
    bodies: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if b"site" not in dict(scope["headers"]):
            await refuse(closing(send), 401, "who are you")
        elif not scope[VISITOR].recognise(7):
            await refuse(closing(send), 503, "too many")
        else:
            body = await read_body(receive, 10_000)
            assert body is not None
            bodies.append(body)
            await refuse(send, 200, f"{len(body)} bytes")

    with bind(LOOPBACK, 0) as bound:
        address = bound.getsockname()
        server = new_server(app, None, limits)
        visitors = Visitors(limits, Kept())
        door = door_of(server, bound, visitors, proxies)
        serving = asyncio.create_task(server.serve(sockets=[]))
        while not server.started:
            await asyncio.sleep(0.01)
        door.open()
        ticking = asyncio.create_task(_tick(door.tick))
        port = Port(address, visitors, bodies)
        try:
            yield port
        finally:
            for writer in port.opened:
                writer.transport.abort()
            ticking.cancel()
            door.close()
            server.should_exit = True
            await serving


async def _tick(tick: Callable[[], None]) -> None:
    while True:
        tick()
        await asyncio.sleep(0.05)


def run(talk: Callable[[Port], Awaitable[None]], limits: Limits = LIMITS) -> None:
    async def whole() -> None:
        async with served(limits) as port, asyncio.timeout(20):
            await talk(port)

    asyncio.run(whole())


async def said(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the other end closes, or cuts."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(2**16):
            found += part
    return found


def post(body: bytes, *more: str, length: int | None = None) -> bytes:
    lines = ["POST / HTTP/1.1", "Host: hub", "Site: 7", *more]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and text of an answer after which the connection stays open."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(await reader.readline(), 16)
    text = await reader.readexactly(size + 2)
    assert await reader.readexactly(5) == b"0\r\n\r\n"
    return int(head.split()[1]), text[:-2]


# What a header may be

ENDLESS = {
    "lines": (b"GET / HTTP/1.1\r\n", b"x: yyyyyyyyyyyyyyyyyyyy\r\n", "header too large"),
    "a line": (b"GET / HTTP/1.1\r\nx: ", b"yyyyyyyyyyyyyyyyyyyyyy", "header too large"),
    "an address": (b"GET /", b"yyyyyyyyyyyyyyyyyyyyyyy", "header too large"),
    "empty lines": (b"", b"\r\n\r\n\r\n\r\n", "header too large"),
    "chunks": (
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\nx\r\n",
        "no length of the body, or not HTTP",
    ),
    "requests": (b"", b"GET / HTTP/1.1\r\nSite: 7\r\n\r\n", "pipelined requests"),
}


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("kind", ENDLESS)
def test_what_has_no_end_ends_the_connection(kind: str, first: bool) -> None:
    """Also on a connection on which a site has been recognised."""
    begin, again, why = ENDLESS[kind]

    async def talk(port: Port) -> None:
        reader, writer = await port.open()
        if first:
            writer.write(post(b"hello"))
            assert await answer(reader) == (200, b"5 bytes")
        writer.write(begin)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 2**26 and not reader.at_eof() and not writer.is_closing():
                writer.write(again * 1000)
                await writer.drain()
                sent += 1000 * len(again)
                await asyncio.sleep(0)
        # It ended by itself; a socket's own buffers hold a few megabytes.
        assert sent < 2**25
        assert port.counted == {(STRANGER, why): 1}

    run(talk)


def test_a_request_may_come_before_the_end_of_the_answer_is_known_here() -> None:
    """As a site's next one does: it has all of an answer before this process knows."""

    async def talk(port: Port) -> None:
        reader, writer = await port.open()
        for _ in range(20):
            writer.write(post(b"one") + post(b"another"))
            assert await answer(reader) == (200, b"3 bytes")
            assert await answer(reader) == (200, b"7 bytes")
        assert port.counted == {}

    run(talk)


def test_so_many_lines_and_so_many_bytes_pass() -> None:
    async def talk(port: Port) -> None:
        reader, writer = await port.open()
        few = [f"x{number}: y" for number in range(LIMITS.head_lines - 3)]
        writer.write(post(b"a", *few))
        assert await answer(reader) == (200, b"1 bytes")
        room = LIMITS.head_bytes - len(post(b"", "x: "))
        writer.write(post(b"", "x: " + room * "y"))
        assert await answer(reader) == (200, b"0 bytes")
        for refused in (post(b"a", *few, "one: more"), post(b"", "x: " + (room + 1) * "y")):
            reader, writer = await port.open()
            writer.write(refused)
            assert b" 431 " in await said(reader)

    run(talk)


@pytest.mark.parametrize("size", [1, 7, 999, 1000, 1001, 5000])
def test_a_request_in_pieces_of_any_size(size: int) -> None:
    """Bodies come whole, whatever lies in a piece with the header before and after them."""
    limits = replace(LIMITS, head_seconds=10, body_bytes=4000)

    async def talk(port: Port) -> None:
        reader, writer = await port.open()
        bodies = [b"", b"one", b"two" * 1000, bytes(4000)]
        for body in bodies:
            whole = post(body)
            for start in range(0, len(whole), size):
                writer.write(whole[start : start + size])
                await asyncio.sleep(0)
            assert (await answer(reader))[0] == 200
        assert port.bodies == bodies

    run(talk, limits)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post(b"", length=2001), b" 413 "), (post(b"", length=10**30), b" 4"),
        (post(b"x", "Content-Length: 5"), b" 400 "), (post(b"", length=-1), b" 400 "),
        (post(b"", "Connection: Upgrade", "Upgrade: h2c"), b" 411 "),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b" 4"), (b"\x16\x03\x01\x02\x00\x01", b" 400 "),
        (b"CONNECT hub:1 HTTP/1.1\r\n\r\n", b" 411 "),
    ],
)  # fmt: skip
def test_what_is_refused_from_its_header_alone(request_: bytes, status: bytes) -> None:
    async def talk(port: Port) -> None:
        reader, writer = await port.open()
        writer.write(request_)
        assert status in await said(reader)
        assert port.bodies == []

    run(talk)


def test_a_header_that_comes_slowly_is_not_waited_for() -> None:
    """Neither the first one of a connection nor a later one."""

    async def talk(port: Port) -> None:
        for before in (b"", post(b"hello")):
            reader, writer = await port.open()
            if before:
                writer.write(before)
                await answer(reader)
            start = asyncio.get_running_loop().time()
            with contextlib.suppress(ConnectionError):
                for byte in b"GET / HTTP/1.1":
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.1)
            await said(reader)
            assert asyncio.get_running_loop().time() - start < 3
        assert port.counted == {(STRANGER, "slow header"): 2}

    run(talk)


# Who may be connected


def test_a_site_stays_connected_and_its_neighbour_gets_in_whoever_stands_about() -> None:
    """From the site's own address, and more than may wait."""

    async def talk(port: Port) -> None:
        reader, writer = await port.open(STRANGER)
        writer.write(post(b"hello"))
        await answer(reader)
        idle = [await port.open(STRANGER) for _ in range(3 * SHARE.waiting)]
        await asyncio.sleep(0.3)
        for source in (STRANGER, "127.0.0.10"):
            newcomer, asks = await port.open(source)
            asks.write(post(b"new"))
            assert await asyncio.wait_for(answer(newcomer), 5) == (200, b"3 bytes")
        writer.write(post(b"still here"))
        assert await answer(reader) == (200, b"10 bytes")
        assert len(port.visitors.all_strangers()) <= 2 * SHARE.at_once
        counted = sum(count for (address, _), count in port.counted.items() if address == STRANGER)
        assert counted >= len(idle) - SHARE.waiting - SHARE.at_once

    run(talk)


def test_who_never_asks_is_cut_and_a_site_is_not() -> None:
    limits = replace(LIMITS, head_seconds=30)

    async def talk(port: Port) -> None:
        silent, _ = await port.open()
        reader, writer = await port.open()
        writer.write(post(b"hello"))
        await answer(reader)
        assert await said(silent) == b""
        await asyncio.sleep(limits.unknown_seconds)
        writer.write(post(b"hello"))
        assert (await answer(reader))[0] == 200

    run(talk, limits)


def test_a_stranger_that_does_not_take_its_answer_is_cut() -> None:
    async def talk(port: Port) -> None:
        reader, writer = await port.open()
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n" + bytes(900))
        assert b" 401 " in await said(reader)
        await asyncio.sleep(2 * LIMITS.linger_seconds)
        assert port.visitors.all_strangers() == ()

    run(talk)


def test_a_key_has_so_many_connections_and_no_more() -> None:
    limits = replace(LIMITS, of_site=3)

    async def talk(port: Port) -> None:
        opened = []
        for _ in range(3):
            opened.append(await port.open())
            opened[-1][1].write(post(b"x"))
            assert (await answer(opened[-1][0]))[0] == 200
        reader, writer = await port.open()
        writer.write(post(b"x"))
        assert b" 503 " in await said(reader)
        opened[0][1].transport.abort()
        await asyncio.sleep(0.2)
        reader, writer = await port.open()
        writer.write(post(b"x"))
        assert (await answer(reader))[0] == 200

    run(talk, limits)


def test_a_door_that_is_closed_lets_nobody_wait() -> None:
    limits = replace(LIMITS, unknown=replace(SHARE, per_second=0.001, burst=0))

    async def talk() -> None:
        async with served(limits) as port:
            waiting = [await port.open() for _ in range(5)]
            await asyncio.sleep(0.1)
            port.opened.clear()
        for reader, writer in waiting:
            assert await said(reader) == b""
            writer.transport.abort()
        with socket.socket() as probe:
            assert probe.connect_ex(port.address) != 0

    asyncio.run(talk())


# Behind a proxy


def test_behind_a_proxy_it_is_the_strangers_address_that_counts() -> None:
    def said_by_proxy(source: str) -> bytes:
        packed = socket.inet_aton(source)
        body = packed + socket.inet_aton(LOOPBACK) + bytes(4)
        return b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack("!BBH", 0x21, 0x11, len(body)) + body

    async def talk() -> None:
        async with served(LIMITS, parse_proxies([LOOPBACK])) as port, asyncio.timeout(20):
            reader, writer = await port.open(LOOPBACK)
            writer.write(said_by_proxy("192.0.2.7") + post(b"hello"))
            assert await answer(reader) == (200, b"5 bytes")
            assert port.visitors.is_known("192.0.2.7")
            assert not port.visitors.is_known(LOOPBACK)
            reader, writer = await port.open(LOOPBACK)
            writer.write(post(b"hello"))
            assert await said(reader) == b""
            assert [address for address, _ in port.counted] == [LOOPBACK]
            # From elsewhere the same bytes are no header of HTTP.
            reader, writer = await port.open(STRANGER)
            writer.write(said_by_proxy("192.0.2.7") + post(b"hello"))
            assert b" 400 " in await said(reader)

    asyncio.run(talk())
