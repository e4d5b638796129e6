"""What passes the two gates, and what of it reaches Flower unchanged."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import PullMessagesRequest, PushMessagesRequest
from flwr.proto.node_pb2 import Node
from hypothesis import given
from hypothesis import strategies as st

from server.link.connections.asgi import App
from server.link.connections.gate import (
    BODY_LIMIT,
    PIECE_LIMIT,
    REQUESTS_AT_ONCE,
    RUN_PATHS,
    SITE_PATHS,
    TRANSFERS_AT_ONCE,
    UNANNOUNCED,
    gate_for_runs,
    gate_for_sites,
)
from server.link.superlink.room import REPLY_LIMIT
from server.link.superlink.state import Link
from shared.deployment.wire import SIZE_HEADER, WAIT_HEADER

SECRET = "/v1/control/start-run"
PULL, PUSH = "/v1/fleet/pull-messages", "/v1/fleet/push-messages"


@dataclass
class Behind:
    """The app behind a gate: answers 200 with the body that it was given."""

    seen: list[tuple[str, bytes]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.seen.append((scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


async def ask(
    gate: App,
    path: str,
    chunks: tuple[bytes, ...] = (b"",),
    headers: dict[str, str] | None = None,
    method: str = "POST",
    length: int | None = -1,
    kind: str = "http",
) -> tuple[int, str]:
    """Status and text of the answer; `length` None declares none, -1 the true one."""
    sent: list[Any] = []
    queue = [
        {"type": "http.request", "body": one, "more_body": index < len(chunks) - 1}
        for index, one in enumerate(chunks)
    ]

    async def receive() -> Any:
        return queue.pop(0) if queue else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    given = [(key.lower().encode(), value.encode()) for key, value in (headers or {}).items()]
    if length is not None:
        declared = sum(map(len, chunks)) if length == -1 else length
        given.append((b"content-length", str(declared).encode()))
    scope = {"type": kind, "path": path, "method": method, "headers": given}
    await gate(scope, receive, send)
    text = b"".join(one.get("body", b"") for one in sent[1:]).decode(errors="replace")
    return sent[0]["status"], text


@pytest.fixture(autouse=True)
def who(monkeypatch: pytest.MonkeyPatch) -> dict[str, int | None]:
    """Whom the gate takes a request to be from; test_identity has how it finds out."""
    known: dict[str, int | None] = {"node": 7}
    monkeypatch.setattr(
        "server.link.connections.gate.identify", lambda headers, link: known["node"]
    )
    return known


def call(gate: App, path: str, *chunks: bytes, **more: Any) -> tuple[int, str]:
    return asyncio.run(ask(gate, path, chunks or (b"",), **more))


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.mark.parametrize("path", sorted(SITE_PATHS - {PULL, PUSH}))
def test_sites_reach_what_they_need(behind: Behind, path: str) -> None:
    assert call(gate_for_sites(behind, Link()), path, b"one ", b"two") == (200, "one two")
    assert behind.seen == [(path, b"one two")]


@pytest.mark.parametrize("path", sorted(RUN_PATHS))
def test_a_run_reaches_what_it_needs(behind: Behind, path: str) -> None:
    assert call(gate_for_runs(behind), path, b"one ", b"two") == (200, "one two")


@pytest.mark.parametrize(
    "path",
    [
        SECRET, "/v1/control/", "/v1/fleet/register-node", "/v1/fleet/unregister-node", "/v1/fleet",
        "/v1/fleet/pull-messages/", "/v1/fleet/../control/start-run", "/V1/FLEET/GET-RUN",
        "/v1/fleet//get-run", "/docs", "/openapi.json", "/", "", "/health/", "/v1/runtime/get-fab",
        "/v1/simulation/start",
    ],
)  # fmt: skip
def test_nothing_else_passes(behind: Behind, path: str) -> None:
    assert call(gate_for_sites(behind, Link()), path)[0] == 404
    assert call(gate_for_runs(behind), path)[0] == 404
    assert behind.seen == []


def test_neither_gate_leads_to_the_other_interface(behind: Behind) -> None:
    for path in RUN_PATHS:
        assert call(gate_for_sites(behind, Link()), path)[0] == 404
    for path in SITE_PATHS | {"/health"}:
        assert call(gate_for_runs(behind), path)[0] == 404
    assert behind.seen == []


@given(st.text(max_size=30))
def test_no_invented_path_passes(name: str) -> None:
    behind = Behind()
    for gate, prefix in ((gate_for_sites(behind, Link()), "fleet"), (gate_for_runs(behind), "run")):
        for path in (name, f"/{name}", f"/v1/{prefix}/{name}", f"/v1/control/{name}"):
            if path not in SITE_PATHS | RUN_PATHS | {"/health"}:
                assert call(gate, path)[0] == 404
    assert behind.seen == []


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_only_http_passes(behind: Behind, kind: str) -> None:
    for gate in (gate_for_sites(behind, Link()), gate_for_runs(behind)):
        assert call(gate, "/v1/fleet/get-run", kind=kind)[0] == 404
    assert behind.seen == []


def test_anyone_may_ask_whether_it_is_there(behind: Behind) -> None:
    gate = gate_for_sites(behind, Link())
    assert call(gate, "/health", method="GET", length=None)[0] == 200
    assert call(gate, "/health", method="HEAD", length=None)[0] == 200


@pytest.mark.parametrize("path", ["/health", "/docs", "/v1/fleet/get-run"])
def test_a_strangers_connection_ends_with_the_answer(
    behind: Behind, who: dict[str, int | None], path: str
) -> None:
    """Else thousands of them could be kept open for nothing."""
    who["node"] = None
    sent = asyncio.run(stall(gate_for_sites(behind, Link()), path, 0, ""))
    assert (b"connection", b"close") in sent[0]["headers"]


def test_a_large_request_is_refused_before_it_is_read(behind: Behind) -> None:
    gate = gate_for_sites(behind, Link())
    assert call(gate, "/v1/fleet/push-object", b"small", length=PIECE_LIMIT + 1)[0] == 413
    assert call(gate, "/v1/fleet/push-object", b"small", length=PIECE_LIMIT)[0] == 200
    assert len(behind.seen) == 1


@pytest.mark.parametrize("which", ["sites", "runs"])
def test_a_request_that_turns_out_large_is_refused(behind: Behind, which: str) -> None:
    """Whatever it declared; at the sites' gate who declares nothing is refused at once."""
    path, gate, limit = (
        ("/v1/fleet/push-object", gate_for_sites(behind, Link()), PIECE_LIMIT)
        if which == "sites"
        else ("/v1/runtime/push-object", gate_for_runs(behind), BODY_LIMIT)
    )
    half = bytes(limit // 2)
    assert call(gate, path, half, half, b"1", length=5)[0] == 413
    assert behind.seen == []
    assert call(gate, path, half, half)[0] == 200


def test_a_site_must_say_how_much_it_sends(behind: Behind) -> None:
    gate = gate_for_sites(behind, Link())
    assert call(gate, "/v1/fleet/get-run", b"x", length=None)[0] == 413
    bad = {"content-length": "-5"}
    assert call(gate, "/v1/fleet/get-run", b"x", length=None, headers=bad)[0] == 413
    assert behind.seen == []


# Replies


@pytest.fixture
def wire(wire: Any, who: dict[str, int | None]) -> Any:
    """With requests that come from north."""
    who["node"] = wire.north
    return wire


def reply_of(wire: Any, node: int) -> tuple[Any, bytes]:
    """A reply of north, pushed by the node."""
    reply = wire.answer(wire.put(wire.ask(wire.north)))
    request = PushMessagesRequest(
        node=Node(node_id=node),
        messages_list=[message_to_proto(reply.message)],
        message_object_trees=[reply.tree],
    )
    return reply, request.SerializeToString()


def push(gate: App, body: bytes, size: object = None) -> tuple[int, str]:
    return call(gate, PUSH, body, headers={} if size is None else {SIZE_HEADER: str(size)})


def test_a_reply_passes_as_it_was_sent(wire: Any, behind: Behind) -> None:
    reply, body = reply_of(wire, wire.north)
    gate = gate_for_sites(behind, wire.link)
    assert push(gate, body, reply.size)[0] == 200
    assert behind.seen == [(PUSH, body)]


def test_no_site_replies_in_the_name_of_another(
    wire: Any, behind: Behind, who: dict[str, int | None]
) -> None:
    who["node"] = wire.east
    reply, body = reply_of(wire, wire.east)
    status, text = push(gate_for_sites(behind, wire.link), body, reply.size)
    assert (status, text) == (403, "a site replies in its own name only")
    assert behind.seen == []
    assert wire.link.announce(99, "another", REPLY_LIMIT)  # it took no room


@pytest.mark.parametrize(
    ("size", "status"),
    [
        ("many", 400), ("", 400), ("1.5", 400),
        (0, 413), (-1, 413), (REPLY_LIMIT + 1, 413), ("9" * 30, 413),
    ],
)  # fmt: skip
def test_a_reply_announces_its_bytes(wire: Any, behind: Behind, size: object, status: int) -> None:
    _, body = reply_of(wire, wire.north)
    assert push(gate_for_sites(behind, wire.link), body, size)[0] == status
    assert behind.seen == []


def test_an_unannounced_reply_takes_room_too(wire: Any, behind: Behind) -> None:
    """As Flower's own SuperNode pushes it."""
    _, body = reply_of(wire, wire.north)
    assert push(gate_for_sites(behind, wire.link), body)[0] == 200
    assert not wire.link.announce(99, "another", REPLY_LIMIT)
    assert wire.link.announce(99, "another", REPLY_LIMIT - UNANNOUNCED)


def test_parts_are_those_of_the_reply(wire: Any, behind: Behind) -> None:
    """The limit is the reply's; parts of another message would have none."""
    reply, body = reply_of(wire, wire.north)
    request = PushMessagesRequest.FromString(body)
    request.message_object_trees[0].object_id = "ab" * 32
    gate = gate_for_sites(behind, wire.link)
    status, text = push(gate, request.SerializeToString(), reply.size)
    assert (status, text) == (400, "the parts are those of another message")
    assert behind.seen == []
    assert wire.link.announce(99, "another", REPLY_LIMIT)  # it took no room


@pytest.mark.parametrize("messages", [0, 2])
def test_one_reply_comes_at_a_time(wire: Any, behind: Behind, messages: int) -> None:
    reply, body = reply_of(wire, wire.north)
    request = PushMessagesRequest.FromString(body)
    copies = [request.messages_list[0]] * messages
    del request.messages_list[:]
    request.messages_list.extend(copies)
    gate = gate_for_sites(behind, wire.link)
    assert push(gate, request.SerializeToString(), reply.size) == (400, "one reply at a time")
    assert behind.seen == []


def test_a_reply_waits_for_room(wire: Any, behind: Behind) -> None:
    reply, body = reply_of(wire, wire.north)
    gate = gate_for_sites(behind, wire.link)
    assert wire.link.announce(99, "of another site", REPLY_LIMIT)
    assert push(gate, body, reply.size)[0] == 503
    assert behind.seen == []
    wire.link.end_run(wire.run)
    assert push(gate, body, reply.size)[0] == 200


def test_what_is_no_message_is_left_to_flower(wire: Any, behind: Behind) -> None:
    gate = gate_for_sites(behind, wire.link)
    for path in (PUSH, PULL):
        assert call(gate, path, b"\xff\xff\xff")[0] == 200


# Waiting questions


def question(node: int, key: bytes, seconds: object) -> dict[str, Any]:
    body = PullMessagesRequest(node=Node(node_id=node)).SerializeToString()
    headers = {
        WAIT_HEADER: str(seconds),
        "flwr-public-key": base64.b64encode(key).decode("ascii"),
    }
    return {"chunks": (body,), "headers": headers}


async def waiting(gate: App, asked: dict[str, Any], then: Callable[[], object]) -> tuple[int, str]:
    """The answer to a question that is still open when `then` happens."""
    task = asyncio.create_task(ask(gate, PULL, **asked))
    done, _ = await asyncio.wait([task], timeout=0.15)
    assert not done
    then()
    return await asyncio.wait_for(task, 15)


def test_a_question_waits_for_a_message(wire: Any, behind: Behind, public_keys: Any) -> None:
    gate = gate_for_sites(behind, wire.link)
    asked = question(wire.north, public_keys[0], 20)
    request = wire.ask(wire.north)
    session = wire.open(request)
    status, _ = asyncio.run(waiting(gate, asked, lambda: wire.fill(request, session)))
    assert status == 200
    assert behind.seen == [(PULL, asked["chunks"][0])]


def test_who_says_good_bye_is_answered_at_once(wire: Any, behind: Behind, public_keys: Any) -> None:
    gate = gate_for_sites(behind, wire.link)
    asked = question(wire.north, public_keys[0], 20)
    good_bye = partial(wire.link.deactivate_node, wire.north)
    status, _ = asyncio.run(waiting(gate, asked, good_bye))
    assert status == 200


def test_who_is_not_there_as_yet_is_held_too(wire: Any, behind: Behind, public_keys: Any) -> None:
    """It would ask again at once, over and over."""
    wire.link.deactivate_node(wire.north)
    gate = gate_for_sites(behind, wire.link)
    asked = question(wire.north, public_keys[0], 20)
    put = partial(wire.put, wire.ask(wire.north))
    status, _ = asyncio.run(waiting(gate, asked, put))
    assert status == 200


def test_a_message_to_another_site_wakes_nobody(
    wire: Any, behind: Behind, public_keys: Any
) -> None:
    wire.put(wire.ask(wire.east))

    async def both() -> None:
        gate = gate_for_sites(behind, wire.link)
        asked = question(wire.north, public_keys[0], 20)
        status, _ = await waiting(gate, asked, lambda: wire.put(wire.ask(wire.north)))
        assert status == 200

    asyncio.run(both())


def test_who_waits_is_sent_away_at_the_end(wire: Any, behind: Behind, public_keys: Any) -> None:
    gate = gate_for_sites(behind, wire.link)
    asked = question(wire.north, public_keys[0], 20)
    status, _ = asyncio.run(waiting(gate, asked, lambda: setattr(wire.link, "closing", True)))
    assert status == 503
    assert behind.seen == []


@pytest.mark.parametrize("seconds", [0, -5, "nan", "-inf", "soon", 0.05])
def test_patience_ends(wire: Any, behind: Behind, public_keys: Any, seconds: object) -> None:
    gate = gate_for_sites(behind, wire.link)

    async def now() -> tuple[int, str]:
        asked = question(wire.north, public_keys[0], seconds)
        return await asyncio.wait_for(ask(gate, PULL, **asked), 2)

    assert asyncio.run(now())[0] == 200


def test_a_stranger_is_refused_before_anything_is_read(
    wire: Any, behind: Behind, who: dict[str, int | None]
) -> None:
    """Not held, not buffered, and no room is made for it."""
    who["node"] = None
    gate = gate_for_sites(behind, wire.link)
    _, body = reply_of(wire, wire.north)
    for path in SITE_PATHS:
        assert call(gate, path, body, headers={SIZE_HEADER: str(REPLY_LIMIT)})[0] == 401
        assert call(gate, path, b"", length=2**40)[0] == 401
    assert behind.seen == []
    assert wire.link.announce(99, "another", REPLY_LIMIT)


def test_a_question_is_answered_at_once_where_a_message_waits(
    wire: Any, behind: Behind, public_keys: Any
) -> None:
    wire.put(wire.ask(wire.north))
    gate = gate_for_sites(behind, wire.link)

    async def now() -> tuple[int, str]:
        asked = question(wire.north, public_keys[0], 20)
        return await asyncio.wait_for(ask(gate, PULL, **asked), 2)

    assert asyncio.run(now())[0] == 200


# Many requests at once


@pytest.fixture
def everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request is of the node that its header `node` names."""
    monkeypatch.setattr(
        "server.link.connections.gate.identify", lambda headers, link: int(headers[b"node"])
    )


@pytest.mark.usefixtures("everybody")
def test_pieces_are_handled_a_few_at_a_time_and_heartbeats_beside_them() -> None:
    """Uploads of many sites at once must not fill the memory, nor make the sites look away."""

    async def crowd() -> tuple[int, int]:
        busy = most = 0
        go = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            nonlocal busy, most
            await receive()
            if scope["path"].endswith("-object"):
                busy += 1
                most = max(most, busy)
                await go.wait()
                busy -= 1
            await send({"type": "http.response.start", "status": 200, "headers": []})

        gate = gate_for_sites(slow, Link())
        pieces = [
            asyncio.create_task(ask(gate, "/v1/fleet/push-object", headers={"node": str(node)}))
            for node in range(2 * TRANSFERS_AT_ONCE)
        ]
        beat = ask(gate, "/v1/fleet/send-node-heartbeat", headers={"node": "1"})
        answer = await asyncio.wait_for(beat, 5)
        go.set()
        done = await asyncio.gather(*pieces)
        return most, sum(status == 200 for status, _ in [*done, answer])

    assert asyncio.run(crowd()) == (TRANSFERS_AT_ONCE, 2 * TRANSFERS_AT_ONCE + 1)


async def stall(gate: App, path: str, node: int, where: str) -> list[Any]:
    """A request that never gets to its end, in its `body` or in its `answer`; what was sent."""
    sent: list[Any] = []
    queue = [{"type": "http.request", "body": b"half", "more_body": where == "body"}]

    async def receive() -> Any:
        return queue.pop(0) if queue else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)
        # As uvicorn: what it is given after a body waits until the body has left.
        if where == "answer" and message.get("body") == b"":
            await asyncio.Event().wait()

    headers = {"node": str(node), "content-length": "8", WAIT_HEADER: "20"}
    given = [(key.lower().encode(), value.encode()) for key, value in headers.items()]
    await gate({"type": "http", "path": path, "method": "POST", "headers": given}, receive, send)
    return sent


@pytest.mark.usefixtures("everybody")
@pytest.mark.parametrize(
    ("path", "where"),
    [("/v1/fleet/push-object", "body"), (PULL, "message"), ("/v1/fleet/pull-object", "answer")],
)
def test_one_site_has_so_many_requests_under_way(behind: Behind, path: str, where: str) -> None:
    """Whatever they wait for: the rest of themselves, a message, or that their answer is read."""

    async def crowd() -> None:
        gate = gate_for_sites(behind, Link())
        waiting = [stall(gate, path, 1, where) for _ in range(REQUESTS_AT_ONCE)]
        tasks = [asyncio.create_task(one) for one in waiting]
        beat = "/v1/fleet/send-node-heartbeat"
        refusal = (503, f"{REQUESTS_AT_ONCE} requests are under way")
        async with asyncio.timeout(10):
            while await ask(gate, beat, headers={"node": "1"}) != refusal:
                await asyncio.sleep(0.01)
        assert (await ask(gate, beat, headers={"node": "2"}))[0] == 200
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (await ask(gate, beat, headers={"node": "1"}))[0] == 200

    asyncio.run(crowd())


@pytest.mark.usefixtures("everybody")
def test_an_answer_that_is_not_read_keeps_no_piece_of_others_waiting(behind: Behind) -> None:
    async def crowd() -> None:
        gate = gate_for_sites(behind, Link())
        path = "/v1/fleet/pull-object"
        unread = [stall(gate, path, node, "answer") for node in range(TRANSFERS_AT_ONCE)]
        tasks = [asyncio.create_task(one) for one in unread]
        await asyncio.sleep(0.05)
        assert (await asyncio.wait_for(ask(gate, path, headers={"node": "99"}), 5))[0] == 200
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(crowd())


@pytest.mark.usefixtures("everybody")
def test_a_request_whose_rest_does_not_come_is_given_up(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.link.connections.gate.IDLE_SECONDS", 0.05)
    given_up = stall(gate_for_sites(behind, Link()), "/v1/fleet/push-object", 1, "body")
    sent = asyncio.run(asyncio.wait_for(given_up, 5))
    assert sent[0]["status"] == 503
    assert (b"connection", b"close") in sent[0]["headers"]
    assert behind.seen == []
