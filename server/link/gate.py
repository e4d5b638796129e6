"""What other machines reach of the SuperLink, and how.

Flower serves all its interfaces on one port, and whoever reaches the one for control may run code
at every site. Here two ports are served: the sites' one lets the sites' interface through and
nothing else, from wherever a request comes; the other one is bound to the loopback and lets through
what the run's own process needs. Nothing lets Flower's control interface through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from flwr.proto.fleet_pb2 import PushMessagesRequest
from google.protobuf.message import DecodeError

from server.link.identity import identify
from server.link.state import REPLY_LIMIT, Link
from shared.deployment.wire import SIZE_HEADER, WAIT_HEADER, WAIT_LIMIT

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_LIMIT = 2**25
"""Bytes of one request; tensors are cut into pieces of 4 MB."""
SMALL_BODY_LIMIT = 2**20
"""Bytes of a request that carries no tensors."""
SITE_PATHS = frozenset(
    f"/v1/fleet/{name}"
    for name in (
        "activate-node", "deactivate-node", "send-node-heartbeat", "pull-messages",
        "push-messages", "get-run", "get-fab", "push-object", "pull-object",
        "confirm-message-received",
    )
)  # fmt: skip
RUN_PATHS = frozenset(
    f"/v1/runtime/{name}"
    for name in (
        "send-task-heartbeat", "pull-task-input", "push-task-output", "push-object",
        "pull-object", "confirm-message-received", "push-logs", "push-messages",
        "pull-messages", "get-nodes",
    )
)  # fmt: skip
PIECE_PATHS = frozenset({"/v1/fleet/push-object", "/v1/fleet/pull-object"})
TRANSFERS_AT_ONCE = 24
"""Pieces that are handled at once; each exists several times while it is."""
UNANNOUNCED = 2**27
"""Bytes that a reply may have whose site does not announce them, as Flower's own SuperNode."""
_POLL_SECONDS = 0.02


def gate_for_runs(app: App) -> App:
    """The SuperLink as the run's own process on this machine sees it."""

    async def gated(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in RUN_PATHS:
            await _refuse(send, 404, "not found")
            return
        # As a whole: Flower's layers would each handle every piece of 64 kB.
        body = await _body(receive, BODY_LIMIT)
        if body is None:
            await _refuse(send, 413, f"more than {BODY_LIMIT} bytes")
        else:
            await app(scope, _replay(body, receive), send)

    return gated


def gate_for_sites(app: App, link: Link) -> App:
    """The SuperLink as sites see it; the rest of the world sees that it is there (/health)."""
    transfers = asyncio.Semaphore(TRANSFERS_AT_ONCE)

    async def gated(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path")
        if scope["type"] != "http" or path not in SITE_PATHS | {"/health"}:
            await _refuse(send, 404, "not found")
            return
        if path == "/health":
            await app(scope, receive, send)
            return
        node = identify(dict(scope["headers"]), link)
        if node is None:
            await _refuse(send, 401, "no registered site's signature of this moment")
            return
        limit = BODY_LIMIT if path == "/v1/fleet/push-object" else SMALL_BODY_LIMIT
        if _declared_length(scope) > limit or (body := await _body(receive, limit)) is None:
            await _refuse(send, 413, f"more than {limit} bytes")
            return
        if path == "/v1/fleet/pull-messages":
            await _wait_for_message(scope, node, link)
            if link.closing:
                await _refuse(send, 503, "the server is being ended")
                return
        elif path == "/v1/fleet/push-messages" and (
            refusal := _refusal_of_reply(scope, body, node, link)
        ):
            await _refuse(send, *refusal)
            return
        if path in PIECE_PATHS:
            async with transfers:
                await app(scope, _replay(body, receive), send)
        else:
            await app(scope, _replay(body, receive), send)

    return gated


def _declared_length(scope: Scope) -> int:
    """Bytes of the body; a request that does not say how many is taken for too large.

    The server itself ends a request that sends more than it declares.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0 if scope["method"] in ("GET", "HEAD") else BODY_LIMIT + 1


async def _body(receive: Receive, limit: int) -> bytes | None:
    """The whole body, None where it is too large."""
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        if length > limit:
            return None
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read already, then what comes after it."""
    given = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _wait_for_message(scope: Scope, node: int, link: Link) -> None:
    """Hold a site's question until there is a message for it, or its patience ends."""
    try:
        seconds = min(float(dict(scope["headers"]).get(WAIT_HEADER.encode(), b"0")), WAIT_LIMIT)
    except ValueError:
        return
    deadline = _now() + seconds
    while not (link.closing or link.has_message_for(node)) and _now() < deadline:
        await asyncio.sleep(_POLL_SECONDS)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _refusal_of_reply(scope: Scope, body: bytes, node: int, link: Link) -> tuple[int, str] | None:
    """Why a reply is not let in now: in another site's name, too large, or not yet.

    Flower checks that a request comes from `node`, and that a reply's sender is who was asked, but
    not that both are the same.
    """
    try:
        request = PushMessagesRequest.FromString(body)
    except DecodeError:
        return None  # Flower says what is wrong with it
    if any(message.metadata.src_node_id != node for message in request.messages_list):
        return 403, "a site replies in its own name only"
    if len(request.message_object_trees) != 1:
        return 400, "one reply at a time"
    try:
        size = int(dict(scope["headers"]).get(SIZE_HEADER.encode(), UNANNOUNCED))
    except ValueError:
        return 400, f"{SIZE_HEADER} must be a number of bytes"
    if not 0 < size <= REPLY_LIMIT:
        return 413, f"a reply may have {REPLY_LIMIT} bytes"
    if not link.announce(node, request.message_object_trees[0].object_id, size):
        return 503, "other replies are being taken; try again"
    return None


async def _refuse(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain"), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
