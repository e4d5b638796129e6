"""A site's end of Flower's protocol: asks the coordinator for messages and pushes replies.

Flower's own client of its Fleet interface over HTTPS, with the site's key. The site opens every
connection; nothing listens at the site.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.common.serde import fab_from_proto, message_from_proto, run_from_proto
from flwr.proto.fab_pb2 import GetFabRequest
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ObjectTree,
    PullObjectRequest,
    PushObjectRequest,
)
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.node_pb2 import Node
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.date import now
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_utils import (
    pull_objects,
    push_object_contents_from_iterable,
)
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext
from flwr.supercore.run import Run
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from shared.deployment.wire import HEARTBEAT_SECONDS, SIZE_HEADER, WAIT_HEADER, WAIT_LIMIT
from shared.errors import FedThawError, SiteError

log = logging.getLogger("fedthaw.site")

_T = TypeVar("_T")
_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
_CLOCK_SECONDS = 4.0
"""How far this machine's clock may be ahead; the coordinator takes 5 s."""


class Unrecognised(FedThawError):
    """The coordinator does not know this connection (any more): activate anew."""


class RunOver(FedThawError):
    """The run of a message has ended, so nobody waits for its reply."""


@dataclass
class Connection:
    """An open connection; one thread asks and replies, another one says that the site is there."""

    server: str
    client: FleetHttpClient
    headers: _Headers
    public_key: bytes
    stop: threading.Event
    node: Node = field(default_factory=Node)
    lost: str = ""
    """Why the coordinator is not reached: the network, or what its owner was told last."""
    unrecognised: bool = False


@dataclass(frozen=True)
class Received:
    """A message with its parts as bytes, by the digest that names each."""

    message: Message
    tree: ObjectTree
    parts: Mapping[str, bytes]


@contextmanager
def connect(
    server: str, authority: Path | None, key: ec.EllipticCurvePrivateKey, stop: threading.Event
) -> Iterator[Connection]:
    """A connection to HOST:PORT, whose certificate must be signed by `authority`.

    Without `authority` it is plain HTTP, which only the loopback may be asked for. Nothing is sent
    yet. Raises SiteError where the authority's certificate cannot be read.
    """
    headers = _Headers()
    client = FleetHttpClient(
        f"{'https' if authority else 'http'}://{server}",
        interceptors=[
            RuntimeVersionHttpInterceptor(component_name="SuperNode"),
            NodeAuthHttpInterceptor(key, key.public_key()),
            headers,
        ],
        verify=_trusting(authority) if authority else False,
    )
    with client:
        yield Connection(server, client, headers, public_key_to_bytes(key.public_key()), stop)


def activate(connection: Connection) -> None:
    """Say who is there; tries for as long as it takes, and says why it does not succeed yet."""
    request = ActivateNodeRequest(
        public_key=connection.public_key, heartbeat_interval=HEARTBEAT_SECONDS
    )
    while not connection.stop.is_set():
        try:
            response = _call(connection, lambda: connection.client.ActivateNode(request))
        except Unrecognised as error:
            _tell_lost(connection, str(error))
            connection.stop.wait(_RETRY_SECONDS[-1])
            continue
        connection.node = Node(node_id=response.node_id)
        connection.unrecognised = False
        _tell_back(connection)
        return


def deactivate(connection: Connection) -> None:
    """Say good-bye, if anybody listens."""
    try:
        connection.client.DeactivateNode(DeactivateNodeRequest(node_id=connection.node.node_id))
    except (httpx.HTTPError, RuntimeError, ValueError):
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
        except (httpx.HTTPError, ssl.SSLError):
            continue
        if not known:
            connection.unrecognised = True


def receive(connection: Connection) -> tuple[Message, ObjectTree] | None:
    """The next message, None where there was none for a while; its parts are still there."""
    if connection.unrecognised:
        raise Unrecognised("The coordinator no longer recognises this connection.")
    request = PullMessagesRequest(node=connection.node)
    response = _call(connection, lambda: connection.client.PullMessages(request))
    if not response.messages_list:
        return None
    return message_from_proto(response.messages_list[0]), response.message_object_trees[0]


def fetch_parts(connection: Connection, message: Message, tree: ObjectTree) -> Received:
    """The message with all its parts, which the coordinator then forgets."""
    run = message.metadata.run_id

    def pull(identifier: str) -> bytes:
        request = PullObjectRequest(node=connection.node, run_id=run, object_id=identifier)
        response = _call(connection, lambda: connection.client.PullObject(request))
        if not response.object_found or not response.object_available:
            raise RunOver("a part of the message is no longer there")
        return response.object_content

    parts = pull_objects([one.object_id for one in iterate_object_tree(tree)], pull)
    confirm = ConfirmMessageReceivedRequest(
        node=connection.node, run_id=run, message_object_id=tree.object_id
    )
    _call(connection, lambda: connection.client.ConfirmMessageReceived(confirm))
    return Received(message, tree, parts)


def fetch_run(connection: Connection, run: int) -> Run:
    """The run's settings and the digest of its bundle."""
    request = GetRunRequest(node=connection.node, run_id=run)
    return run_from_proto(_call(connection, lambda: connection.client.GetRun(request)).run)


def fetch_bundle(connection: Connection, digest: str, run: int) -> bytes:
    """The bundle as the coordinator gives it; its digest is yet to be checked."""
    request = GetFabRequest(node=connection.node, hash_str=digest, run_id=run)
    return fab_from_proto(_call(connection, lambda: connection.client.GetFab(request)).fab).content


def push(
    connection: Connection,
    reply: MessageProto,
    tree: ObjectTree,
    parts: Mapping[str, bytes],
    seconds: float,
) -> None:
    """Send a reply; RunOver where nobody waits for it any more."""
    run = reply.metadata.run_id
    request = PushMessagesRequest(
        node=connection.node,
        messages_list=[reply],
        message_object_trees=[tree],
        clientapp_runtime_list=[seconds],
    )
    connection.headers.size = sum(map(len, parts.values()))
    response = _call(connection, lambda: connection.client.PushMessages(request))
    wanted = set(response.objects_to_push)

    def put(identifier: str, content: bytes) -> None:
        part = PushObjectRequest(
            node=connection.node, run_id=run, session_id=response.session_id,
            object_id=identifier, object_content=content,
        )  # fmt: skip
        _call(connection, lambda: connection.client.PushObject(part))

    push_object_contents_from_iterable(_wanted(tree, parts, wanted), put)


def _wanted(
    tree: ObjectTree, parts: Mapping[str, bytes], wanted: set[str]
) -> Iterable[tuple[str, bytes]]:
    for one in iterate_object_tree(tree):
        if one.object_id in wanted:
            wanted.remove(one.object_id)
            yield one.object_id, parts[one.object_id]


def _call(connection: Connection, request: Callable[[], _T]) -> _T:
    """Make a request, again and again while the network or the coordinator is away."""
    attempt = 0
    while True:
        try:
            answer = request()
        except httpx.HTTPStatusError as error:
            if not _is_passing(error.response):
                raise _refusal(error.response) from error
            if error.response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                _tell_lost(connection, f"it answers {error.response.status_code}")
        except (httpx.TransportError, ssl.SSLError) as error:
            _tell_lost(connection, _reason(error))
        else:
            _tell_back(connection)
            return answer
        if connection.stop.wait(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)]):
            raise KeyboardInterrupt
        attempt += 1


def _is_passing(response: httpx.Response) -> bool:
    return response.status_code in (500, 502, 503, 504)


def _refusal(response: httpx.Response) -> FedThawError:
    """What a status means to the site."""
    # 412 is what Flower answers to the first question of a key that it does not know.
    if response.status_code not in (httpx.codes.UNAUTHORIZED, httpx.codes.PRECONDITION_FAILED):
        return RunOver(f"the coordinator answers {response.status_code}")
    ahead = _clock_difference(response)
    if ahead is not None and not -300 < ahead < _CLOCK_SECONDS:
        return Unrecognised(
            f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} "
            "the coordinator's; set both by NTP"
        )
    return Unrecognised(
        "it does not know this site's key; its owner must enter it with `fedthaw server register` "
        "(`fedthaw site key` shows it)"
    )


def _clock_difference(response: httpx.Response) -> float | None:
    """Seconds that this machine's clock is ahead of the coordinator's."""
    try:
        theirs = parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return None
    return (now() - theirs).total_seconds()


def _reason(error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            "its certificate is not one that this site trusts "
            f"({str(error).rpartition(': ')[2].rstrip(')')}); compare the fingerprint of ca.crt "
            "with the coordinator's, and --server with the names that its certificate is for"
        )
    return str(error) or type(error).__name__


def _tell_lost(connection: Connection, why: str) -> None:
    # Told once, however the network's trouble changes its face; what its owner can mend, always.
    kind = why if "certificate" in why or "clock" in why or "key" in why else "network"
    if connection.lost != kind:
        log.warning("Not connected to %s: %s. Trying again.", connection.server, why.rstrip("."))
    connection.lost = kind


def _tell_back(connection: Connection) -> None:
    if connection.lost:
        log.info("Connected to %s again.", connection.server)
    connection.lost = ""


def _trusting(authority: Path) -> ssl.SSLContext:
    """Trust this authority and no other."""
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


class _Headers:
    """What coordinator and site tell each other beside Flower's own protocol."""

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
