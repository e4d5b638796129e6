"""What is in a reply, read from the very bytes that are sent."""

from __future__ import annotations

from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.app.message.arraychunk import ArrayChunk
from flwr.supercore.inflatable.inflatable_object import InflatableObject
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from client.node.resident import Reply
from shared.errors import ProtocolError
from shared.wire.packing import read_index

_LARGE = 2**20
"""Bytes; an index of ten thousand tensors is smaller."""


def describe(reply: Reply) -> dict[str, Any]:
    """Its type, round and size, the names and shapes of its tensors, and all else as it is."""
    contained: dict[str, Any] = {}
    root = reply.tree.object_id
    # The tensors' values are not written down, so their pieces need not be put together.
    nothing = ArrayChunk(memoryview(b""))
    large: dict[str, InflatableObject] = {
        name: nothing
        for name, part in reply.parts.items()
        if len(part) > _LARGE and part.startswith(ArrayChunk.__qualname__.encode("ascii"))
    }
    message = inflate_object_from_contents(root, dict(reply.parts), objects=large)
    assert isinstance(message, Message)
    if message.has_error():
        contained["error"] = {"code": message.error.code, "reason": message.error.reason}
    else:
        for name, record in message.content.items():
            match record:
                case ArrayRecord():
                    contained[name] = _tensors(record)
                case ConfigRecord() | MetricRecord():
                    contained[name] = dict(record.items())
    return {
        "type": message.metadata.message_type,
        "round": message.metadata.group_id,
        "bytes": sum(map(len, reply.parts.values())),
        "content": contained,
    }


def _tensors(record: ArrayRecord) -> dict[str, str]:
    """Number format and shape by name; of a record that is not packed, as Flower has it."""
    try:
        entries = [(name, dtype, shape) for name, dtype, shape, _, _ in read_index(record)]
    except ProtocolError:
        entries = [(name, array.dtype, list(array.shape)) for name, array in record.items()]
    return {name: f"{dtype} {'x'.join(map(str, shape))}" for name, dtype, shape in entries}
