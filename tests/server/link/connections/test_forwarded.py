"""What a proxy says before TLS, and what is no proxy's word."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.link.connections.forwarded import is_proxy, parse_proxies, read_forwarded
from shared.errors import ConfigError

SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"


def header(
    source: str = "192.0.2.7", *, command: int = 0x21, more: bytes = b"", family: int = 0
) -> bytes:
    """As the specification has it: signature, version and command, family, length, addresses."""
    address = ipaddress.ip_address(source)
    body = address.packed + address.packed + struct.pack("!HH", 40000, 8443) + more
    kind = family or (0x11 if address.version == 4 else 0x21)
    return SIGNATURE + struct.pack("!BBH", command, kind, len(body)) + body


def read(sent: bytes, *, closed: bool = False) -> tuple[str | None, bytes]:
    """What it says, and what is left for TLS."""

    async def both() -> tuple[str | None, bytes]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.sendall(sent)
            if closed:
                theirs.close()
            async with asyncio.timeout(5):
                found = await read_forwarded(ours)
            try:
                return found, ours.recv(2**16)
            except BlockingIOError:
                return found, b""

    return asyncio.run(both())


@given(st.ip_addresses(), st.binary(max_size=300), st.binary(max_size=50))
def test_the_address_is_read_and_tls_is_left(address: object, more: bytes, tls: bytes) -> None:
    assert read(header(str(address), more=more) + tls) == (str(address), tls)


def test_the_proxys_own_check_is_nobody() -> None:
    assert read(header(command=0x20)) == (None, b"")
    assert read(SIGNATURE + struct.pack("!BBH", 0x20, 0, 0)) == (None, b"")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01" + bytes(40), b"PROXY TCP4 192.0.2.7 192.0.2.8 40000 8443\r\n" + bytes(40),
        header(command=0x11), header(command=0x22), header(family=0x12), header(family=0x31),
        SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 4) + bytes(4),
        SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 60_000) + bytes(60_000),
    ],
)  # fmt: skip
def test_what_is_no_header(sent: bytes) -> None:
    with pytest.raises(ValueError, match=r"PROXY|not of TCP"):
        read(sent)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 20])
def test_a_header_that_ends_too_soon(length: int) -> None:
    with pytest.raises(ValueError, match="ended within"):
        read(header()[:length], closed=True)


def test_who_is_a_proxy() -> None:
    proxies = parse_proxies(["192.0.2.7", "172.18.0.0/16", "2001:db8::/64"])
    for host in ("192.0.2.7", "::ffff:192.0.2.7", "172.18.9.9", "2001:db8::5"):
        assert is_proxy(host, proxies)
    for host in ("192.0.2.8", "172.19.0.1", "2001:db8:1::5"):
        assert not is_proxy(host, proxies)
    assert not is_proxy("192.0.2.7", ())


@pytest.mark.parametrize("text", ["proxy.example.org", "192.0.2.7:8443", "", "192.0.2.7/16"])
def test_what_is_no_address_of_a_proxy(text: str) -> None:
    with pytest.raises(ConfigError, match="names no IP address"):
        parse_proxies([text])
