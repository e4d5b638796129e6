"""Sockets, certificates and the web server of the coordinator's process."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
import socket
import ssl
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

import uvicorn

from server.link.connections.asgi import App
from server.link.connections.door import Door
from server.link.connections.forwarded import Network
from server.link.connections.limits import Limits
from server.link.connections.strict import StrictProtocol
from server.link.connections.visitors import Visitor, Visitors
from server.link.folder.home import Home
from shared.deployment.names import to_address
from shared.errors import ConfigError, FedThawError

log = logging.getLogger("fedthaw.server")

UNREAD_SECONDS = 60
"""After so long a connection is closed whose other end takes nothing of what was sent."""


def renew(home: Home, context: ssl.SSLContext) -> None:
    """Take the new certificate for connections from now on; those that are open stay open."""
    try:
        context.load_cert_chain(home.certificate, home.key)
        log.info("The renewed certificate is in use.")
    except (OSError, ssl.SSLError) as error:
        log.error("The new certificate cannot be used (%s); the previous one stays in use.", error)


def new_server(app: App, tls: Home | None, limits: Limits) -> uvicorn.Server:
    """A uvicorn server without logs of its own: they would name who asked for what.

    Raises ConfigError where certificate and key are damaged or do not belong together.
    """
    secrets: dict[str, Any] = {}
    if tls is not None:
        secrets = {"ssl_certfile": str(tls.certificate), "ssl_keyfile": str(tls.key)}
    config = uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(StrictProtocol, limits=limits)),
        lifespan="off", ws="none", log_config=None, access_log=False, server_header=False,
        timeout_keep_alive=limits.idle_seconds, timeout_graceful_shutdown=1, **secrets,
    )  # fmt: skip
    try:
        config.load()
    except ssl.SSLError as error:
        raise ConfigError(
            f"The server's certificate and key cannot be used ({error.reason or error}); make them "
            "again: fedthaw server renew"
        ) from error
    # What it says is about connections that ended, at the end of the process a traceback for each.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        config.ssl.options |= ssl.OP_NO_RENEGOTIATION
    return _Quiet(config)


def door_of(
    server: uvicorn.Server, listener: socket.socket, visitors: Visitors,
    proxies: Sequence[Network] = (),
) -> Door:  # fmt: skip
    """The door to a server that serves no socket by itself, `server.serve(sockets=[])`."""
    config = server.config

    def protocol(visitor: Visitor) -> asyncio.Protocol:
        return config.http_protocol_class(  # type: ignore[call-arg]
            config=config, server_state=server.server_state, app_state={}, visitor=visitor
        )

    return Door(listener, protocol, config.ssl, visitors, proxies)


class _Quiet(uvicorn.Server):
    """Leaves signals to the process that has two of it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def raise_file_limit() -> int:
    """Let this process have as many connections as the system grants it; how many files it may.

    The default is 1024.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    granted, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if granted == resource.RLIM_INFINITY else granted


def bind(host: str | None, port: int) -> socket.socket:
    """A socket at this address, port 0 for a free one; None is every address of this machine.

    Raises ConfigError where it cannot be had, FedThawError where the machine does not have this
    address yet.
    """
    dual = host is None and socket.has_dualstack_ipv6()
    place = host or ("::" if dual else "0.0.0.0")  # noqa: S104 (sites are on other machines)
    bound = socket.socket(socket.AF_INET6 if ":" in place else socket.AF_INET)
    if dual:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections take these over. Without the first every small answer waits 40 ms for
    # an acknowledgement, and a message has hundreds of parts.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * UNREAD_SECONDS)
    try:
        bound.bind((place, port))
    except OSError as error:
        bound.close()
        what = f"{to_address(place, port)} cannot be listened on ({error.strerror})"
        if error.errno == errno.EADDRNOTAVAIL:
            # At the start of the machine its network may come later than this process.
            raise FedThawError(
                f"{what}: this machine does not have the address, or not yet; give one that it "
                "has with --host, or leave --host out."
            ) from error
        raise ConfigError(f"{what}; choose another --port, or end what listens there.") from error
    return bound
