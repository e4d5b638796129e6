"""A site's requests to the coordinator: made until they are answered, and what refusals mean."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TypeVar

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.node_pb2 import Node
from flwr.supercore.date import now
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from shared.deployment.proxies import proxy_towards
from shared.deployment.wire import SIZE_HEADER, WAIT_HEADER, WAIT_LIMIT
from shared.errors import FedThawError

log = logging.getLogger("fedthaw.site")

_T = TypeVar("_T")
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
CLOCK_SECONDS = 4.0
"""How far this machine's clock may be ahead; the coordinator takes 5 s."""


class Unrecognised(FedThawError):
    """The coordinator does not know this connection (any more): activate again."""


class RunOver(FedThawError):
    """The run of a message has ended, so nobody waits for its reply."""


class Stopped(FedThawError):
    """The site's client is shutting down while it waits for the network, or for its worker."""


class Trouble(StrEnum):
    """Why the coordinator is not reached."""

    network = "network"
    """Passes by itself, and shows many faces meanwhile."""
    fixable = "fixable"
    """A key, a certificate or a clock: its owner must do something."""


class Headers:
    """What coordinator and site send each other in addition to Flower's own protocol."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes of the reply that is being announced."""

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        """Ask to hold a question for messages until there is one, and announce a reply's size."""
        if context.rpc_method.endswith("/PullMessages"):
            context.request.headers[WAIT_HEADER] = str(WAIT_LIMIT)
        elif context.rpc_method.endswith("/PushMessages"):
            context.request.headers[SIZE_HEADER] = str(self.size)
        return call_next(context)


class Signer:
    """Signs each request, as Flower does, with the site's key of that moment."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self.take(key)

    def take(self, key: ec.EllipticCurvePrivateKey) -> None:
        """Sign with this key from now on."""
        self._signing = NodeAuthHttpInterceptor(key, key.public_key())

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        """Sign the request."""
        return self._signing.intercept(context, call_next)


@dataclass
class Connection:
    """An open connection; one thread asks and replies, another one says that the site is there."""

    server: str
    client: FleetHttpClient
    headers: Headers
    signer: Signer
    public_key: bytes
    stop: threading.Event
    node: Node = field(default_factory=Node)
    lost: str = ""
    """Why the coordinator is not reached: the network, or what was logged last."""
    unrecognised: bool = False
    asking: bool = False
    """Whether the coordinator holds this site's question for a message."""
    closed: threading.Event = field(default_factory=threading.Event)


def call(connection: Connection, request: Callable[[], _T]) -> _T:
    """Make a request, again and again while the network or the coordinator is away."""
    attempt = 0
    while True:
        try:
            answer = request()
        except httpx.HTTPStatusError as error:
            if not _is_passing(error.response):
                raise _refusal(error.response) from error
            if error.response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                note_lost(connection, f"it answers {error.response.status_code}", Trouble.network)
        except (httpx.TransportError, httpx.InvalidURL, ssl.SSLError, ValueError) as error:
            # ValueError: an answer that is no message of Flower's protocol.
            note_lost(connection, *_reason(error, connection.server))
        else:
            note_back(connection)
            return answer
        if connection.stop.wait(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]):
            raise Stopped("the site is shutting down")
        attempt += 1


def _is_passing(response: httpx.Response) -> bool:
    # 408 and 429 ask for the same request again: RFC 9110, 15.5.9, and RFC 6585, 4.
    return response.status_code in (408, 429, 500, 502, 503, 504)


def _refusal(response: httpx.Response) -> FedThawError:
    """What a status means to the site."""
    # 412 is what Flower answers to the first question of a key that it does not know.
    if response.status_code not in (httpx.codes.UNAUTHORIZED, httpx.codes.PRECONDITION_FAILED):
        return RunOver(f"the coordinator answers {response.status_code}")
    ahead = clock_difference(response)
    if ahead is not None and not -300 < ahead < CLOCK_SECONDS:
        return Unrecognised(
            f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} "
            "the coordinator's; synchronise both with NTP"
        )
    return Unrecognised(
        "it does not know this site's key, or the key has expired; its owner must register it with "
        "`fedthaw server register` (`fedthaw site key` shows it, `fedthaw site renew-key` makes a "
        "new one)"
    )


def clock_difference(response: httpx.Response) -> float | None:
    """Seconds that this machine's clock is ahead of the coordinator's."""
    try:
        theirs = parsedate_to_datetime(response.headers["date"])
        # A time without a zone, which HTTP does not have, cannot be subtracted (TypeError).
        return (now() - theirs).total_seconds()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _reason(error: Exception, server: str) -> tuple[str, Trouble]:
    """Why no answer came, and who can fix it; OpenSSL says it in a text only."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            "its certificate is not one that this site trusts "
            f"({str(error).rpartition(': ')[2].rstrip(')')}); compare the fingerprint of ca.crt "
            "with the coordinator's, and --server with the names that its certificate is for"
        ), Trouble.fixable
    why = str(error) or type(error).__name__
    if proxy := proxy_towards(server.rpartition(":")[0]):
        return (
            f"{why}, by the proxy {proxy} that the environment names; NO_PROXY may name hosts "
            "that are reached without it"
        ), Trouble.network
    return why, Trouble.network


def note_lost(connection: Connection, why: str, trouble: Trouble) -> None:
    """Log that the coordinator is not reached: network trouble once, others as they change."""
    reason = why if trouble is Trouble.fixable else trouble.value
    if connection.lost != reason:
        log.warning("Not connected to %s: %s. Trying again.", connection.server, why.rstrip("."))
    connection.lost = reason


def note_back(connection: Connection) -> None:
    """Say that the coordinator is reached again, where it was not."""
    if connection.lost:
        log.info("Connected to %s again.", connection.server)
    connection.lost = ""
