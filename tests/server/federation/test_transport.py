"""Replies of a deployment as they are taken off the wire, also those that are none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ObjectTree,
    PullObjectRequest,
    PullObjectResponse,
)
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.runtime_pb2 import PullAppMessagesRequest, PullAppMessagesResponse
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.superlink.grid import HttpGrid
from hypothesis import given
from hypothesis import strategies as st

from server.federation import unpacking
from server.federation.connected import Presence
from server.federation.messaging import Exchange, Question, Watch
from server.federation.replies import error_reason
from server.federation.roster import Roster, Terms, admit
from server.federation.transport import pull
from server.federation.unpacking import REST_LIMIT

Parts = dict[str, bytes]
NORTH, EAST = 1001, 1002
CONTENT = RecordDict(
    {
        "report": ConfigRecord({"site": "north"}),
        "metrics": MetricRecord({"images": 7}),
        "delta": ArrayRecord({"w": Array(np.arange(5, dtype=np.float32))}),
    }
)


def asked(node: int) -> Message:
    message = Message(CONTENT, dst_node_id=node, message_type="train")
    message.metadata.__dict__["_message_id"] = f"asked {node}"
    return message


def parts_of(message: Message) -> tuple[str, Parts]:
    objects = get_all_nested_objects(message)
    return message.object_id, {name: one.deflate() for name, one in objects.items()}


def part(kind: str, children: Iterable[str], body: bytes) -> tuple[str, bytes]:
    """A part as Flower writes it, and its name."""
    content = f"{kind} {','.join(children)} {len(body)}".encode() + b"\0" + body
    return hashlib.sha256(content).hexdigest(), content


def array(
    pieces: Iterable[str], named: object, shape: object = (1,), dtype: str = "uint8"
) -> tuple[str, bytes]:
    body = {"dtype": dtype, "shape": shape, "stype": "x", "arraychunk_ids": named}
    return part("Array", pieces, json.dumps(body).encode())


def with_array(one: tuple[str, bytes], more: Parts) -> tuple[str, Parts]:
    """A reply whose only tensor is this one."""
    record = part("ArrayRecord", [one[0]], json.dumps({"w": one[0]}).encode())
    return with_records({"delta": record}, {**more, one[0]: one[1]})


def with_records(records: dict[str, tuple[str, bytes]], more: Parts) -> tuple[str, Parts]:
    """A reply of these records."""
    names = {key: name for key, (name, _) in records.items()}
    content = part("RecordDict", names.values(), json.dumps(names).encode())
    message = part("Message", [content[0]], b"")
    return message[0], {**more, **dict(records.values()), **dict([content, message])}


@dataclass
class Server:
    """What a run's process reaches of the SuperLink: replies wait by what they answer."""

    replies: dict[str, tuple[MessageProto, Parts]] = field(default_factory=dict)
    parts: Parts = field(default_factory=dict)
    confirmed: list[str] = field(default_factory=list)

    def put(self, node: int, name: str, parts: Parts) -> None:
        """A site's reply, as the server itself knows it."""
        reply = Message(RecordDict(), reply_to=asked(node))
        reply.metadata.__dict__["_message_id"] = name
        self.replies[f"asked {node}"] = message_to_proto(reply), parts

    def PullMessages(self, request: PullAppMessagesRequest) -> PullAppMessagesResponse:  # noqa: N802
        """One reply at a time, and never again."""
        for identifier in request.message_ids:
            if identifier in self.replies:
                reply, self.parts = self.replies.pop(identifier)
                children = [ObjectTree(object_id=name) for name in self.parts]
                tree = ObjectTree(object_id=reply.metadata.message_id, children=children)
                return PullAppMessagesResponse(messages_list=[reply], message_object_trees=[tree])
        return PullAppMessagesResponse()

    def PullObject(self, request: PullObjectRequest) -> PullObjectResponse:  # noqa: N802
        content = self.parts.get(request.object_id)
        if content is None:
            return PullObjectResponse(object_found=False)
        return PullObjectResponse(object_found=True, object_available=True, object_content=content)

    def ConfirmMessageReceived(self, request: ConfirmMessageReceivedRequest) -> None:  # noqa: N802
        self.confirmed.append(request.message_object_id)


class Connected(HttpGrid):
    """Flower's grid of a deployment, before this server."""

    def __init__(self, server: Server) -> None:
        super().__init__(token="t")
        self._client = server  # type: ignore[assignment]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return [f"asked {message.metadata.dst_node_id}" for message in messages]


@pytest.fixture
def server() -> Server:
    return Server()


def read(server: Server, name: str, parts: Parts) -> Message:
    """North's reply, of these parts."""
    server.put(NORTH, name, parts)
    (reply,) = pull(Connected(server), [f"asked {NORTH}", f"asked {EAST}"])
    assert reply.metadata.reply_to_message_id == f"asked {NORTH}"
    assert server.confirmed[-1] == name
    return reply


def test_a_reply_is_what_was_sent(server: Server) -> None:
    reply = read(server, *parts_of(Message(CONTENT, reply_to=asked(NORTH))))
    assert reply.content == CONTENT
    assert pull(Connected(server), [f"asked {NORTH}"]) == []


def test_an_error_is_what_was_sent(server: Server) -> None:
    reply = read(server, *parts_of(Message(Error(1001, "it failed"), reply_to=asked(NORTH))))
    assert (reply.error.code, reply.error.reason) == (1001, "it failed")


def test_whose_reply_it_is_the_server_knows(server: Server) -> None:
    """What the message says of itself is the site's."""
    reply = read(server, *parts_of(Message(CONTENT, reply_to=asked(EAST))))
    assert (reply.metadata.src_node_id, reply.content) == (NORTH, CONTENT)


PIECE = part("ArrayChunk", [], b"x" * 100)
INNER = array([PIECE[0]], [0])
NO_MESSAGE = part("RecordDict", [], b"{}")
EMPTY = part("Message", [], b"")
HOSTILE: dict[str, tuple[str, Parts]] = {
    "no message": (NO_MESSAGE[0], dict([NO_MESSAGE])),
    "neither content nor error": (EMPTY[0], dict([EMPTY])),
    "broken JSON": with_records({"delta": part("ArrayRecord", [], b"{")}, {}),
    "of no known kind": with_records({"delta": part("CustomDataClass", [], b"")}, {}),
    "a record within a record": with_records({"delta": part("RecordDict", [], b"{}")}, {}),
    "JSON of another shape": with_records({"delta": part("ArrayRecord", [], b"[]")}, {}),
    "JSON without an end": with_records({"delta": part("ArrayRecord", [], b"[" * 9999)}, {}),
    "no protocol buffer": with_records({"report": part("ConfigRecord", [], b"\xff")}, {}),
    "a part that is not sent": with_array(array([PIECE[0]], [0]), {}),
    "a piece that is not there": with_array(array([PIECE[0]], [1]), dict([PIECE])),
    "no piece's number": with_array(array([PIECE[0]], "a"), dict([PIECE])),
    "a shape that no record holds": with_array(array([PIECE[0]], [0], [2**40]), dict([PIECE])),
    "a name that is no text": with_array(array([PIECE[0]], [0], dtype="\ud800"), dict([PIECE])),
    "an array of arrays": with_array(array([INNER[0]], [0]), dict([PIECE, INNER])),
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_reply_that_cannot_be_read(server: Server, hostile: tuple[str, Parts]) -> None:
    name, parts = hostile
    assert error_reason(read(server, name, dict(parts))).startswith("its reply cannot be read (")


def test_a_reply_that_did_not_come_whole(server: Server) -> None:
    assert error_reason(read(server, "0" * 64, {})) == "its reply did not come whole"


def test_a_piece_that_is_named_again_and_again(server: Server) -> None:
    """A few bytes that would be a gigabyte."""
    hostile = with_array(array([PIECE[0]], [0] * 400_000), dict([PIECE]))
    assert "bytes besides tensors; 1048576 are allowed" in error_reason(read(server, *hostile))
    piece = part("ArrayChunk", [], bytes(10_000))
    hostile = with_array(array([piece[0]], [0] * 100_000), dict([piece]))
    assert "its tensors take 100" in error_reason(read(server, *hostile))


def test_tensors_that_are_too_much_together(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "TENSORS_LIMIT", 1000)
    arrays = dict(array([PIECE[0]], [0] * 4, [number]) for number in range(3))
    record = part("ArrayRecord", arrays, json.dumps(dict(zip("abc", arrays, strict=True))).encode())
    hostile = with_records({"delta": record}, {**arrays, **dict([PIECE])})
    assert "; 1000 are allowed" in error_reason(read(server, *hostile))


def test_much_beside_tensors(server: Server) -> None:
    content = RecordDict({"report": ConfigRecord({"said": "a" * REST_LIMIT})})
    reply = read(server, *parts_of(Message(content, reply_to=asked(NORTH))))
    assert "bytes besides tensors; 1048576 are allowed" in error_reason(reply)


@given(
    number=st.integers(0, 7),
    bits=st.lists(st.tuples(st.integers(0, 999), st.integers(0, 255)), max_size=3),
    cut=st.integers(0, 1000),
)
def test_whatever_is_changed_in_a_reply_it_is_one(
    number: int, bits: list[tuple[int, int]], cut: int
) -> None:
    name, parts = parts_of(Message(CONTENT, reply_to=asked(NORTH)))
    changed = list(parts)[number % len(parts)]
    head, _, body = parts[changed].partition(b"\0")
    other = bytearray(body)
    for position, value in bits:
        if body:
            other[position % len(body)] = value
    parts[changed] = head + b"\0" + bytes(other[: len(body) * cut // 1000])
    reply = read(Server(), name, parts)
    assert reply.has_content() or error_reason(reply)


def test_one_broken_reply_keeps_no_other_from_being_heard(server: Server) -> None:
    server.put(NORTH, *HOSTILE["broken JSON"])
    server.put(EAST, *parts_of(Message(CONTENT, reply_to=asked(EAST))))
    contents = dict.fromkeys((NORTH, EAST), RecordDict())
    present = {node: Presence(None, "") for node in contents}
    question = Question("train", "1", 5)
    replies = dict(
        Exchange(Connected(server), contents, question, Watch(lambda: present)).replies()
    )
    north, east = replies[NORTH], replies[EAST]
    assert isinstance(north, Message)
    assert isinstance(east, Message)
    assert error_reason(north) == "its reply cannot be read (JSONDecodeError)"
    assert east.content == CONTENT


def test_a_site_that_cannot_be_read_is_refused_by_its_name(server: Server) -> None:
    server.put(NORTH, *HOSTILE["neither content nor error"])
    roster, present = Roster(), {NORTH: Presence("north", "one")}
    admit(Connected(server), roster, present, Terms("r1", "sha256:ab"), timeout=5)
    assert roster.refused == {
        NORTH: "north cannot take part: its reply cannot be read (IndexError)."
    }
