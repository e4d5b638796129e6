"""Messages, bundles and replies between a site and the coordinator, by an open connection."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flwr.app import Message
from flwr.common.serde import fab_from_proto, message_from_proto, run_from_proto
from flwr.proto.fab_pb2 import GetFabRequest
from flwr.proto.fleet_pb2 import PullMessagesRequest, PushMessagesRequest
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ObjectTree,
    PullObjectRequest,
    PushObjectRequest,
)
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_utils import (
    pull_objects,
    push_object_contents_from_iterable,
)
from flwr.supercore.run import Run

from client.node.bounds import MOST_OF_A_MESSAGE, MOST_PARTS
from client.node.calls import Connection, RunOver, Unrecognised, call


@dataclass(frozen=True)
class Received:
    """A message with its parts as bytes, by the digest that names each."""

    message: Message
    tree: ObjectTree
    parts: Mapping[str, bytes]


def receive(connection: Connection) -> tuple[Message, ObjectTree] | None:
    """The next message, None where there was none for a while; its parts are still there."""
    if connection.unrecognised:
        raise Unrecognised("The coordinator no longer recognises this connection.")
    request = PullMessagesRequest(node=connection.node)
    connection.asking = True
    try:
        response = call(connection, lambda: connection.client.PullMessages(request))
    finally:
        connection.asking = False
    if not response.messages_list:
        return None
    try:
        return message_from_proto(response.messages_list[0]), response.message_object_trees[0]
    except Exception as error:  # Flower raises errors of many types
        raise RunOver(f"it cannot be read ({type(error).__name__})") from error


def fetch_parts(connection: Connection, message: Message, tree: ObjectTree) -> Received:
    """The message with all its parts, which the coordinator then forgets."""
    run = message.metadata.run_id

    taken = 0
    counting = threading.Lock()  # Flower pulls several at a time

    def pull(identifier: str) -> bytes:
        nonlocal taken
        request = PullObjectRequest(node=connection.node, run_id=run, object_id=identifier)
        response = call(connection, lambda: connection.client.PullObject(request))
        if not response.object_found or not response.object_available:
            raise RunOver("a part of the message is no longer there")
        with counting:
            taken += len(response.object_content)
            if taken > MOST_OF_A_MESSAGE:
                raise RunOver(f"its parts have more than {MOST_OF_A_MESSAGE} bytes")
        return response.object_content

    names = [one.object_id for one in iterate_object_tree(tree)]
    if len(names) > MOST_PARTS:
        raise RunOver(f"it has {len(names)} parts; at most {MOST_PARTS} are taken")
    parts = pull_objects(names, pull)
    confirm = ConfirmMessageReceivedRequest(
        node=connection.node, run_id=run, message_object_id=tree.object_id
    )
    call(connection, lambda: connection.client.ConfirmMessageReceived(confirm))
    return Received(message, tree, parts)


def fetch_run(connection: Connection, run: int) -> Run:
    """The run's settings and the digest of its bundle; RunOver where they cannot be read."""
    request = GetRunRequest(node=connection.node, run_id=run)
    found = call(connection, lambda: connection.client.GetRun(request)).run
    try:
        return run_from_proto(found)
    except Exception as error:  # Flower raises errors of many types
        raise RunOver(f"its run cannot be read ({type(error).__name__})") from error


def is_over(connection: Connection, run: int) -> bool:
    """Whether the coordinator no longer works on this run, or does not know it (any more)."""
    try:
        fetch_run(connection, run)
    except RunOver:
        return True
    return False


def fetch_bundle(connection: Connection, digest: str, run: int) -> bytes:
    """The bundle as the coordinator gives it; its digest is yet to be checked."""
    request = GetFabRequest(node=connection.node, hash_str=digest, run_id=run)
    return fab_from_proto(call(connection, lambda: connection.client.GetFab(request)).fab).content


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
    response = call(connection, lambda: connection.client.PushMessages(request))
    wanted = set(response.objects_to_push)

    def put(identifier: str, content: bytes) -> None:
        part = PushObjectRequest(
            node=connection.node, run_id=run, session_id=response.session_id,
            object_id=identifier, object_content=content,
        )  # fmt: skip
        call(connection, lambda: connection.client.PushObject(part))

    push_object_contents_from_iterable(_wanted(tree, parts, wanted), put)


def _wanted(
    tree: ObjectTree, parts: Mapping[str, bytes], wanted: set[str]
) -> Iterable[tuple[str, bytes]]:
    for one in iterate_object_tree(tree):
        if one.object_id in wanted:
            wanted.remove(one.object_id)
            yield one.object_id, parts[one.object_id]
