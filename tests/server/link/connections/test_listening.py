"""The coordinator's sockets, and what becomes of connections that ask for nothing."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from server.link.connections.asgi import Answer
from server.link.connections.limits import Limits
from server.link.connections.listening import UNREAD_SECONDS, bind, new_server, raise_file_limit
from server.link.folder.home import create_home, read_settings, renew_certificate
from shared.deployment.names import LOOPBACK
from shared.errors import ConfigError, FedThawError

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LIMITS = Limits()
ASK = b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n"


def reach(port: int, host: str) -> None:
    with socket.create_connection((host, port), timeout=5):
        pass


def test_every_address_of_both_kinds_by_default() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with bind(None, 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        reach(port, "127.0.0.1")
        reach(port, "::1")


def test_a_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with bind(None, 0) as bound:
        assert bound.getsockname()[0] == "0.0.0.0"


def test_one_address_is_one() -> None:
    with bind(LOOPBACK, 0) as bound:
        assert bound.getsockname()[0] == LOOPBACK
        assert bound.family == socket.AF_INET


def test_an_address_that_the_machine_does_not_have_may_come() -> None:
    """At its start, before its network: who starts the server again does so for exit code 1."""
    with pytest.raises(FedThawError, match=r"192\.0\.2\.1:1 cannot be .* or not yet") as caught:
        bind("192.0.2.1", 1)
    assert caught.value.exit_code == 1


def test_a_taken_port_is_a_mistake_and_its_address_has_brackets() -> None:
    with bind(None, 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        place = "::" if bound.family == socket.AF_INET6 else "0.0.0.0"
        with pytest.raises(ConfigError, match="cannot be listened on") as caught:
            bind(place, port)
    named = f"[::]:{port}" if place == "::" else f"0.0.0.0:{port}"
    assert str(caught.value).startswith(named)


async def _nothing(scope: object, receive: object, send: object) -> None:
    pass


def test_a_key_of_another_certificate_is_a_mistake(tmp_path: Path) -> None:
    """As a renewal that was cut off leaves them; the same command makes them again."""
    home = create_home(tmp_path / "coordinator", ["127.0.0.1"], 8443)
    certificate = home.certificate.read_bytes()
    renew_certificate(home, read_settings(home))
    assert new_server(_nothing, home, LIMITS).config.ssl is not None
    for content in (certificate, b"half a certificate"):
        home.certificate.write_bytes(content)
        with pytest.raises(ConfigError, match="make them again: fedthaw server renew"):
            new_server(_nothing, home, LIMITS)


def test_a_connection_ends_whose_other_end_takes_nothing() -> None:
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("this system has no such limit")
    with bind(LOOPBACK, 0) as bound:
        bound.listen()
        with socket.create_connection(bound.getsockname()):
            accepted, _ = bound.accept()
            with accepted:
                limit = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert limit == 1000 * UNREAD_SECONDS


@pytest.fixture
def file_limit() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_as_many_connections_as_the_system_grants(file_limit: tuple[int, int]) -> None:
    most = file_limit[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
    raise_file_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)


async def _hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def talk_to(app: Any, talk: Talk, limits: Limits = LIMITS) -> None:
    """Serve the app as the coordinator's process serves runs, and have one connection."""

    async def both() -> None:
        with bind(LOOPBACK, 0) as bound:
            await one(new_server(app, None, limits), bound)

    async def one(server: uvicorn.Server, bound: socket.socket) -> None:
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        while not server.started:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection(*bound.getsockname())
        try:
            await asyncio.wait_for(talk(reader, writer), 20)
        finally:
            writer.transport.abort()
            server.should_exit = True
            await serving

    asyncio.run(both())


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost"])
def test_a_connection_on_which_nothing_is_asked_is_closed(said: bytes) -> None:
    async def idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        assert b"408" in await reader.readline()
        assert b"the rest of the header did not come" in await reader.read()

    talk_to(_hello, idle, Limits(head_seconds=0.2))


def test_a_connection_that_has_asked_stays() -> None:
    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            writer.write(ASK)
            assert b"hello" in await reader.readuntil(b"0\r\n\r\n")
            await asyncio.sleep(0.5)

    talk_to(_hello, twice, Limits(head_seconds=0.2))


def test_an_answer_has_its_end_when_it_has_left() -> None:
    """uvicorn keeps what is not read, and takes more as if it had been: the end has to wait."""
    size = 2**26
    ended: list[bool] = []

    async def large(scope: Any, receive: Any, send: Any) -> None:
        answer = Answer(send)
        await answer.take({"type": "http.response.start", "status": 200, "headers": []})
        await answer.take({"type": "http.response.body", "body": bytes(size)})
        await answer.finish()
        ended.append(True)

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ASK)
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.5)
        assert not ended
        line = await reader.readline()
        await reader.readexactly(int(line, 16))
        assert await reader.readuntil(b"0\r\n\r\n")
        assert ended

    talk_to(large, slow)
