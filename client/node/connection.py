"""A site's connection to the coordinator: opened, kept alive, closed.

Flower's own client of its Fleet interface over HTTPS, with the site's key. The site opens every
connection; nothing listens at the site.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.fleet_pb2 import ActivateNodeRequest, DeactivateNodeRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient

from client.node.bounds import bound
from client.node.calls import (
    RETRY_SECONDS,
    Connection,
    Headers,
    RunOver,
    Signer,
    Trouble,
    Unrecognised,
    call,
    log,
    note_back,
    note_lost,
)
from shared.deployment.wire import HEARTBEAT_SECONDS, WAIT_LIMIT
from shared.errors import SiteError

_LOOK_SECONDS = 0.1
KEPT_SECONDS = 30.0
"""For so long a connection waits for its next request; the coordinator keeps it for 75 s."""


@dataclass(frozen=True)
class Access:
    """Which coordinator a site connects to, and with which key."""

    server: str
    """HOST:PORT."""
    authority: Path | None
    """Who must have signed the coordinator's certificate; None: plain HTTP, on the loopback."""
    key: ec.EllipticCurvePrivateKey
    passphrase: bytes | None = None
    """What opens the files of this key and of the site's next one."""


@contextmanager
def connect(access: Access, stop: threading.Event) -> Iterator[Connection]:
    """A connection over which nothing is sent yet.

    Raises SiteError where the authority's certificate cannot be read.
    """
    headers, signer = Headers(), Signer(access.key)
    verify = trusting(access.authority) if access.authority else False
    client = FleetHttpClient(
        f"{'https' if access.authority else 'http'}://{access.server}",
        interceptors=[
            RuntimeVersionHttpInterceptor(component_name="SuperNode"),
            signer,
            headers,
        ],
        verify=verify,
    )
    # Flower's closes a connection after 5 s, so that each sign of life would begin a new one.
    client._client.close()
    client._client = httpx.Client(
        verify=verify, timeout=30.0, follow_redirects=False,
        limits=httpx.Limits(keepalive_expiry=KEPT_SECONDS),
    )  # fmt: skip
    bound(client._client)
    public_key = public_key_to_bytes(access.key.public_key())
    connection = Connection(access.server, client, headers, signer, public_key, stop)
    with client:
        try:
            yield connection
        finally:
            connection.closed.set()


def activation(connection: Connection) -> ActivateNodeRequest:
    """The request by which a site says that it is there."""
    return ActivateNodeRequest(
        public_key=connection.public_key, heartbeat_interval=HEARTBEAT_SECONDS
    )


def activate(connection: Connection, changed_key: Callable[[], bool] = lambda: False) -> None:
    """Say who is there; tries for as long as it takes, and says why it does not succeed yet.

    `changed_key` is asked before each attempt: whether the site is there with a new key already.
    """
    while not connection.stop.is_set():
        if changed_key():
            return
        try:
            response = call(
                connection, lambda: connection.client.ActivateNode(activation(connection))
            )
        except (Unrecognised, RunOver) as error:
            # Nobody speaks of a run here: what answers has no place for sites, or not yet.
            note_lost(connection, str(error), Trouble.fixable)
            connection.stop.wait(RETRY_SECONDS[-1])
            continue
        connection.node = Node(node_id=response.node_id)
        connection.unrecognised = False
        note_back(connection)
        return


def deactivate(connection: Connection) -> None:
    """Say good-bye, if anybody listens."""
    try:
        connection.client.DeactivateNode(DeactivateNodeRequest(node_id=connection.node.node_id))
    except (httpx.HTTPError, ssl.SSLError, RuntimeError, ValueError):
        return


def leave(connection: Connection) -> None:
    """Take back an open question once the site is to end; runs in a thread of its own.

    The coordinator answers who has said good-bye at once, where an idle site would have to wait for
    a message, or for the patience with which it has asked.
    """
    connection.stop.wait()
    log.info("Ending. This takes up to %.0f s if the coordinator does not answer.", WAIT_LIMIT)
    while not connection.closed.wait(_LOOK_SECONDS):
        if connection.asking:
            deactivate(connection)
            return


def beat(connection: Connection) -> None:
    """Say that the site is there every few seconds; runs in a thread of its own."""
    while not connection.stop.wait(HEARTBEAT_SECONDS):
        request = SendNodeHeartbeatRequest(
            node=connection.node, heartbeat_interval=HEARTBEAT_SECONDS
        )
        try:
            known = connection.client.SendNodeHeartbeat(request).success
        except httpx.HTTPStatusError as error:
            known = error.response.status_code != httpx.codes.UNAUTHORIZED
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, ValueError):
            continue  # ValueError, as in `call`: one such answer must not be the last sign of life
        if not known:
            connection.unrecognised = True


def trusting(authority: Path) -> ssl.SSLContext:
    """Trust this authority and no other; SiteError where its certificate cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise SiteError(
            f"The coordinator's CA certificate {authority} cannot be read ({error}); ask the "
            "coordinator for its ca.crt."
        ) from error
    return context
