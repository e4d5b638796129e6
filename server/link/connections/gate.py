"""What other machines reach of the SuperLink, and how.

Flower serves all its interfaces on one port, and whoever reaches the one for control may run code
at every site. Here two ports are served: the sites' one lets the sites' interface through and
nothing else, from wherever a request comes; the other one is bound to the loopback and lets through
what the run's own process needs. Nothing lets Flower's control interface through.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AbstractAsyncContextManager, nullcontext

from flwr.proto.fleet_pb2 import PushMessagesRequest
from google.protobuf.message import DecodeError

from server.link.connections.asgi import (
    Answer,
    App,
    Receive,
    Scope,
    Send,
    closing,
    declared_length,
    read_body,
    refuse,
    replay,
)
from server.link.connections.identity import identify
from server.link.connections.strict import VISITOR
from server.link.connections.visitors import Visitor
from server.link.superlink.room import REPLY_LIMIT
from server.link.superlink.state import Link
from shared.deployment.wire import SIZE_HEADER, STRANGER, WAIT_HEADER, WAIT_LIMIT

BODY_LIMIT = 2**25
"""Bytes of one request of the run's own process."""
PIECE_LIMIT = 2**23
"""Bytes of one part of a site's reply; tensors are cut into pieces of 4 MB, by Flower of 5 MB."""
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
REQUESTS_AT_ONCE = 16
"""Of one site, from a request's first byte to the last one of its answer: two pieces, a question
and a heartbeat, and what a cut connection has left behind."""
IDLE_SECONDS = 30.0
"""How long the rest of a request may keep its site waiting, as long as that itself would wait."""
SLOWEST_RATE = 2**12
"""Bytes a second that a request has at least on the whole: a part of 4 MB may take 17 minutes."""
UNANNOUNCED = 2**27
"""Bytes that a reply may have whose site does not announce them, as Flower's own SuperNode."""
_POLL_SECONDS = 0.02


def gate_for_runs(app: App) -> App:
    """The SuperLink as the run's own process on this machine sees it."""

    async def gated(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in RUN_PATHS:
            await refuse(send, 404, "not found")
            return
        # As a whole: Flower's layers would each handle every piece of 64 kB.
        body = await read_body(receive, BODY_LIMIT)
        if body is None:
            await refuse(send, 413, f"more than {BODY_LIMIT} bytes")
        else:
            await app(scope, replay(body, receive), send)

    return gated


def gate_for_sites(app: App, link: Link) -> App:
    """The SuperLink as sites see it; the rest of the world sees that it is there (/health).

    A stranger's connection ends with the first answer: it would be kept open for nobody. With the
    first request that a registered site has signed it becomes that site's.
    """
    inner = _Sites(app, link)
    under_way: Counter[int] = Counter()

    async def gated(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path")
        if scope["type"] != "http" or path not in SITE_PATHS | {"/health"}:
            await refuse(closing(send), 404, "not found")
            return
        if path == "/health":
            # Not by Flower's app, which takes four times as long: nothing of it is a stranger's.
            await refuse(closing(send), 200, "")
            return
        node = identify(dict(scope["headers"]), link)
        visitor: Visitor | None = scope.get(VISITOR)
        if node is None:
            if visitor is not None:
                visitor.refused("not signed by a registered site")
            await refuse(closing(send), 401, STRANGER)
            return
        if visitor is not None and not visitor.recognise(node):
            await refuse(closing(send), 503, "this site has too many connections")
            return
        if under_way[node] >= REQUESTS_AT_ONCE:
            await refuse(closing(send), 503, f"{REQUESTS_AT_ONCE} requests are under way")
            return
        under_way[node] += 1
        try:
            await inner.serve(node, scope, receive, send)
        finally:
            under_way[node] -= 1

    return gated


class _Sites:
    """What a registered site reaches."""

    def __init__(self, app: App, link: Link) -> None:
        self._app, self._link = app, link
        self._transfers = asyncio.Semaphore(TRANSFERS_AT_ONCE)

    async def serve(self, node: int, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of this site; returns when the answer has left."""
        path = scope["path"]
        limit = PIECE_LIMIT if path == "/v1/fleet/push-object" else SMALL_BODY_LIMIT
        length = declared_length(scope)
        try:
            fits = length is not None and length <= limit
            async with asyncio.timeout(IDLE_SECONDS + (length or 0) / SLOWEST_RATE):
                body = await read_body(receive, limit, IDLE_SECONDS) if fits else None
        except TimeoutError:
            await refuse(closing(send), 503, "the rest of the request did not come")
            return
        if body is None:
            await refuse(send, 413, f"more than {limit} bytes")
        elif refusal := await self._refusal(node, scope, body):
            await refuse(send, *refusal)
        else:
            answer = Answer(send)
            slot: AbstractAsyncContextManager[object] = (
                self._transfers if path in PIECE_PATHS else nullcontext()
            )
            async with slot:
                await self._app(scope, replay(body, receive), answer.take)
            await answer.finish()

    async def _refusal(self, node: int, scope: Scope, body: bytes) -> tuple[int, str] | None:
        """Why the request is not let in, after it was held for as long as it may be."""
        if scope["path"] == "/v1/fleet/push-messages":
            return _refusal_of_reply(scope, body, node, self._link)
        if scope["path"] == "/v1/fleet/pull-messages":
            await _wait_for_message(scope, node, self._link)
            if self._link.closing:
                return 503, "the server is shutting down"
        return None


async def _wait_for_message(scope: Scope, node: int, link: Link) -> None:
    """Hold a site's question until there is a message for it, it leaves, or its patience ends."""
    try:
        seconds = min(float(dict(scope["headers"]).get(WAIT_HEADER.encode(), b"0")), WAIT_LIMIT)
    except ValueError:
        return
    deadline, was_there = _now() + seconds, link.is_there(node)
    while not (link.closing or link.has_message_for(node)) and _now() < deadline:
        # Only who leaves meanwhile is sent away: who is not there as yet would ask again at once.
        if was_there and not link.is_there(node):
            return
        await asyncio.sleep(_POLL_SECONDS)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _refusal_of_reply(scope: Scope, body: bytes, node: int, link: Link) -> tuple[int, str] | None:
    """Why a reply is not let in now: in another site's name, too large, or not yet.

    Flower checks that a request comes from `node`, and that a reply's sender is who was asked, but
    neither that both are the same, nor that the parts are those of the reply.
    """
    try:
        request = PushMessagesRequest.FromString(body)
    except DecodeError:
        return None  # Flower says what is wrong with it
    if any(message.metadata.src_node_id != node for message in request.messages_list):
        return 403, "a site replies in its own name only"
    if len(request.messages_list) != 1 or len(request.message_object_trees) != 1:
        return 400, "one reply at a time"
    name = request.message_object_trees[0].object_id
    if request.messages_list[0].metadata.message_id != name:
        return 400, "the parts are those of another message"
    try:
        size = int(dict(scope["headers"]).get(SIZE_HEADER.encode(), UNANNOUNCED))
    except ValueError:
        return 400, f"{SIZE_HEADER} must be a number of bytes"
    if not 0 < size <= REPLY_LIMIT:
        return 413, f"a reply may have {REPLY_LIMIT} bytes"
    if not link.announce(node, name, size):
        return 503, "other replies are being taken; try again"
    return None
