"""Replies as they leave a site, and the requests that they answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flwr.app import Error, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_to_proto
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.task_identity import TaskIdentity

from client.node.enrolment import create_site_home
from client.node.home import SiteHome
from client.node.resident import Reply
from client.node.transfer import Received

RUN, NODE = 7, 42


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower builds messages from one identity for the whole process."""
    for name, value in (("_task_id", 1), ("_run_id", RUN), ("_node_id", NODE)):
        monkeypatch.setattr(TaskIdentity, name, value)


def _request(kind: str) -> Message:
    message = Message(RecordDict(), dst_node_id=NODE, message_type=kind, group_id="3")
    message.metadata.__dict__["_message_id"] = message.object_id
    return message


@pytest.fixture
def make_reply() -> Callable[..., Reply]:
    """The reply with this content or error, as a site's process gets it to send."""

    def make(content: RecordDict | Error, kind: str = "train") -> Reply:
        reply = Message(content, reply_to=_request(kind))
        reply.metadata.__dict__["_message_id"] = reply.object_id
        parts = {name: one.deflate() for name, one in get_all_nested_objects(reply).items()}
        tree = get_object_tree(reply)
        return Reply(message_to_proto(remove_content_from_message(reply)), tree, parts)

    return make


@pytest.fixture
def make_received() -> Callable[[RecordDict], Received]:
    """A request with this content, as a site has received it."""

    def make(content: RecordDict) -> Received:
        message = Message(content, dst_node_id=NODE, message_type="query")
        message.metadata.__dict__["_message_id"] = message.object_id
        parts = {name: one.deflate() for name, one in get_all_nested_objects(message).items()}
        tree = get_object_tree(message)
        return Received(remove_content_from_message(message), tree, parts)

    return make


@pytest.fixture
def made_home(tmp_path_factory: pytest.TempPathFactory) -> SiteHome:
    """A site's private folder with its key."""
    home = SiteHome(tmp_path_factory.mktemp("north") / "federation")
    create_site_home(home, "north")
    return home
