"""The coordinator's state with two sites and a run, and the messages that travel through it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from flwr.app import Message, MetricRecord, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.task_identity import TaskIdentity

from server.link.superlink.room import REPLY_LIMIT
from server.link.superlink.state import Link

NORTH, EAST = b"the key of north", b"the key of east"


@dataclass(frozen=True)
class Parcel:
    """A message without its content, and the parts that its content is made of."""

    message: Message
    tree: ObjectTree
    parts: dict[str, bytes]

    @property
    def name(self) -> str:
        return self.message.metadata.message_id

    @property
    def size(self) -> int:
        return sum(map(len, self.parts.values()))


@dataclass
class Wire:
    """Both ends of a run's messages: the coordinator and the sites north and east."""

    link: Link
    run: int
    north: int
    east: int
    wanted: dict[str, list[str]] = field(default_factory=dict)
    """By session: the parts that the coordinator does not have; messages may share some."""

    def ask(self, node: int, text: str = "train") -> Parcel:
        """A request to a site; it reaches nobody before it is `put`."""
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, self.run, 1
        content = RecordDict({text: MetricRecord({"round": 1})})
        return _parcel(Message(content, dst_node_id=node, message_type="train"))

    def answer(self, request: Parcel, count: int = 7) -> Parcel:
        """A site's reply, with all its parts."""
        TaskIdentity.task_id, TaskIdentity.run_id = 1, self.run
        TaskIdentity.node_id = request.message.metadata.dst_node_id
        content = RecordDict({"metrics": MetricRecord({"images": count})})
        return _parcel(Message(content, reply_to=request.message))

    def open(self, parcel: Parcel) -> str:
        """Store the message alone; the session in which its parts are to come."""
        session = self.link.start_session(self.run)
        stored, wanted = self.link.store_message_and_object_tree(
            parcel.message, parcel.tree, session
        )
        assert stored
        self.wanted[session] = wanted
        return session

    def fill(self, parcel: Parcel, session: str, leave: int = 0) -> list[bool]:
        """Store the parts that are wanted, but for so many; whether each was taken."""
        wanted = self.wanted[session]
        sent = len(wanted) - leave
        self.wanted[session] = wanted[sent:]
        return [
            self.link.store_object(self.run, session, name, parcel.parts[name])
            for name in wanted[:sent]
        ]

    def put(self, parcel: Parcel) -> Parcel:
        """Store the message with all its parts."""
        assert all(self.fill(parcel, self.open(parcel)))
        return parcel

    def exchange(self, node: int, text: str = "train") -> tuple[Parcel, Parcel]:
        """A request that was fetched and answered."""
        request = self.put(self.ask(node, text))
        assert len(self.link.get_message_ins(node, None)) == 1
        return request, self.put(self.answer(request))


def _parcel(message: Message) -> Parcel:
    message.metadata.__dict__["_message_id"] = message.object_id
    objects, tree = get_all_nested_objects(message), get_object_tree(message)
    parts = {name: one.deflate() for name, one in objects.items()}
    return Parcel(remove_content_from_message(message), tree, parts)


@pytest.fixture
def bundle() -> Fab:
    return Fab(hashlib.sha256(b"code").hexdigest(), b"code", {})


@pytest.fixture
def wire(bundle: Fab) -> Wire:
    link = Link()
    link.set_sites({NORTH: "north", EAST: "east"})
    run, _ = link.begin_run(bundle, {"rounds": 1})
    nodes = [link.get_node_id_by_public_key(key) for key in (NORTH, EAST)]
    assert nodes[0] is not None
    assert nodes[1] is not None
    for node in nodes:
        link.activate_node(node or 0, 10.0)
    return Wire(link, run, nodes[0], nodes[1])


@pytest.fixture
def public_keys() -> tuple[bytes, bytes]:
    """Of north and of east."""
    return NORTH, EAST


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let so many seconds pass for whoever asks time.monotonic where replies get room."""
    from server.link.superlink import room

    now = [1000.0]

    class Time:
        @staticmethod
        def monotonic() -> float:
            return now[0]

    monkeypatch.setattr(room, "time", Time)

    def forward(seconds: float) -> None:
        now[0] += seconds

    return forward


@pytest.fixture(autouse=True)
def _room_for_one_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that one of the largest replies fills it."""
    monkeypatch.setattr("server.link.superlink.room.HELD_LIMIT", REPLY_LIMIT)
