"""Sockets, certificates and the web server of the coordinator's process."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn

from server.link.gate import App
from server.link.home import Home
from shared.errors import ConfigError

log = logging.getLogger("fedthaw.server")


def renew(home: Home, context: ssl.SSLContext) -> None:
    """Take the new certificate for connections from now on; those that are open stay open."""
    try:
        context.load_cert_chain(home.certificate, home.key)
        log.info("The renewed certificate is in use.")
    except (OSError, ssl.SSLError) as error:
        log.error("The new certificate cannot be used (%s); the one of before stays.", error)


def new_server(app: App, tls: Home | None) -> uvicorn.Server:
    """A uvicorn server without logs of its own: they would name who asked for what."""
    secrets: dict[str, Any] = {}
    if tls is not None:
        secrets = {"ssl_certfile": str(tls.certificate), "ssl_keyfile": str(tls.key)}
    config = uvicorn.Config(
        app,
        lifespan="off", log_config=None, access_log=False, server_header=False,
        limit_concurrency=4096, timeout_keep_alive=75, timeout_graceful_shutdown=1, **secrets,
    )  # fmt: skip
    config.load()
    # What it says is about connections that ended, at the end of the process a traceback for each.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return _Quiet(config)


class _Quiet(uvicorn.Server):
    """Leaves signals to the process that has two of it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """A socket at this address, port 0 for a free one; ConfigError where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections take it over. Without it every small answer waits 40 ms for an
    # acknowledgement, and a message has hundreds of parts.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"{host}:{port} cannot be listened on ({error.strerror}); choose another --port, or "
            "end what listens there."
        ) from error
    return bound
