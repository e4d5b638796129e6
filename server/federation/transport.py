"""Taking replies off Flower's grid, whatever a site has put into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from flwr.app import Error, Message
from flwr.app.message import make_message
from flwr.common.constant import ErrorCode
from flwr.common.serde_utils import metadata_from_proto
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, ObjectTree
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.runtime_pb2 import PullAppMessagesRequest
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_protobuf_utils import make_pull_object_fn_protobuf
from flwr.supercore.inflatable.inflatable_utils import ObjectPullError, pull_objects

from server.federation.unpacking import unpacked
from shared.errors import ProtocolError

if TYPE_CHECKING:  # it brings a database that a simulation need not wait for
    from flwr.superlink.grid import HttpGrid


def pull(grid: Grid, asked: Sequence[str]) -> list[Message]:
    """Replies to these messages, as many as there are now.

    Flower's grid of a deployment raises on what it cannot read in a reply, when the reply is gone
    already and it is unknown whose it was; here an error reply says it in that site's place.
    """
    # Only in a deployment sites are somebody else's.
    if not hasattr(grid, "_runtime_client"):
        return list(grid.pull_messages(asked))
    deployed = cast("HttpGrid", grid)
    answer = deployed._runtime_client.PullMessages(PullAppMessagesRequest(message_ids=asked))
    return [
        _received(deployed, reply, tree)
        for reply, tree in zip(answer.messages_list, answer.message_object_trees, strict=True)
    ]


def _received(grid: HttpGrid, reply: MessageProto, tree: ObjectTree) -> Message:
    """The reply with its parts, under what the server itself knows of it: whose it is, to what."""
    client, metadata = grid._runtime_client, metadata_from_proto(reply.metadata)
    fetch = make_pull_object_fn_protobuf(client.PullObject, grid.node, metadata.run_id)
    names = list(dict.fromkeys(part.object_id for part in iterate_object_tree(tree)))
    parts: dict[str, bytes] | None
    try:
        parts = pull_objects(names, fetch)
    except ObjectPullError:
        parts = None
    # In any case: what is not confirmed stays in the server's memory.
    client.ConfirmMessageReceived(
        ConfirmMessageReceivedRequest(
            node=grid.node, run_id=metadata.run_id, message_object_id=metadata.message_id
        )
    )
    if parts is None:
        return make_message(metadata, error=_error("its reply did not come whole"))
    try:
        found = unpacked(metadata.message_id, parts)
    except ProtocolError as error:
        return make_message(metadata, error=_error(str(error)))
    if found.has_error():
        return make_message(metadata, error=found.error)
    return make_message(metadata, content=found.content)


def _error(reason: str) -> Error:
    return Error(ErrorCode.MESSAGE_UNAVAILABLE, reason)
