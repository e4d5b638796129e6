"""Who connects through a reverse proxy, as the proxy says before TLS begins.

Source: the PROXY protocol, version 2, of HAProxy
(https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt). TLS itself stays between site and
coordinator: the proxy passes on what it cannot read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections.abc import Sequence

from shared.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_VERSION_2, _LOCAL, _PROXY = 0x20, 0x0, 0x1
_TCP4, _TCP6 = 0x11, 0x21
_LONGEST = 1024
"""Bytes of addresses and of what a proxy adds to them; HAProxy's are under 300."""


def parse_proxies(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks of these proxies; ConfigError for what is no address and no network."""
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError:
        raise ConfigError(
            f"--proxy {' '.join(texts)!r} names no IP address; give the proxy's as in 192.0.2.7, "
            "or its network as in 172.18.0.0/16."
        ) from None


def is_proxy(host: str, proxies: Sequence[Network]) -> bool:
    """Whether this peer's address is one of a proxy."""
    if not proxies:
        return False
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in proxies)


async def read_forwarded(connection: socket.socket) -> str | None:
    """The address for which a proxy has opened this connection, None for its own (a health check).

    Reads the header and nothing after it. Raises ValueError where there is none.
    """
    head = await _exactly(connection, 16)
    version, family, length = struct.unpack("!BBH", head[12:])
    command = version & 0x0F
    known = version & 0xF0 == _VERSION_2 and command in (_LOCAL, _PROXY)
    if head[:12] != _SIGNATURE or not known or length > _LONGEST:
        raise ValueError("no header of the PROXY protocol, version 2")
    addresses = await _exactly(connection, length)
    if command == _LOCAL:
        return None
    for kind, size in ((_TCP4, 4), (_TCP6, 16)):
        if family == kind and length >= 2 * size + 4:
            return str(ipaddress.ip_address(addresses[:size]))
    raise ValueError("a connection that is not of TCP")


async def _exactly(connection: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        part = await asyncio.get_running_loop().sock_recv(connection, length - len(found))
        if not part:
            raise ValueError("it ended within the header")
        found += part
    return found
