"""What is in a message, read from the very bytes that travel."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.app.message.arraychunk import ArrayChunk
from flwr.supercore.inflatable.inflatable_object import InflatableObject
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from client.node.bounds import MOST_OF_A_MESSAGE
from client.node.resident import Reply
from client.node.transfer import Received
from shared.errors import ProtocolError
from shared.wire.amount import amount_of
from shared.wire.packing import read_index

_LONGEST_VALUE, _LONGEST_IN_ALL = 2**15, 2**17
"""Characters, as JSON, of what is written down of a request: of a value, and of all values."""
_LONGEST_WORD = 200
"""Characters of a message's type and of its round's name."""
_LARGE = 2**20
"""Bytes; an index of ten thousand tensors is smaller."""
MOST_BESIDES_TENSORS = 2**25
"""Bytes of a request; the pooled counts of a comparison take two for each bin and repeat."""


def describe(reply: Reply) -> dict[str, Any]:
    """A message's type, round and size, its tensors' names and shapes, and the rest as it is."""
    message = _message(reply)
    contained: dict[str, Any] = {}
    if message.has_error():
        contained["error"] = {"code": message.error.code, "reason": message.error.reason}
    else:
        for name, record in message.content.items():
            match record:
                case ArrayRecord():
                    contained[name] = _tensors(record)
                case ConfigRecord() | MetricRecord():
                    contained[name] = plain(record)
    return _envelope(message, reply) | {"content": contained}


def describe_request(received: Received) -> dict[str, Any]:
    """What was asked of the site: as `describe`, but of the tensors their number alone.

    The names that the reply must have (`expects`) are left out: the reply has an entry. What no
    request needs is written down as by `bounded`, whether it is answered or not.
    ProtocolError where it cannot be read, or would take more memory than a request needs.
    """
    try:
        _require_modest(received)
        return _describe_request(received)
    except ProtocolError:
        raise
    except Exception as error:  # Flower raises errors of many types
        raise ProtocolError(f"it cannot be read ({type(error).__name__})") from error


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as JSON can have them: bytes, which no message needs, in hexadecimal digits."""
    return {key: _plain(value) for key, value in values.items()}


def bounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same, but of what is too long for a log its number of characters and its SHA-256.

    A coordinator that nobody has approved must not fill the site's disk.
    """
    short = {key: _short(value, _LONGEST_VALUE) for key, value in values.items()}
    return dict(_short(short, _LONGEST_IN_ALL))


def _short(value: Any, longest: int) -> Any:
    text = json.dumps(value)
    if len(text) <= longest:
        return value
    return {"characters": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _require_modest(received: Received) -> None:
    amount = amount_of(received.parts)
    if amount.tensors > MOST_OF_A_MESSAGE:
        raise ProtocolError(f"its tensors take {amount.tensors} bytes")
    if amount.rest > MOST_BESIDES_TENSORS:
        raise ProtocolError(f"it has {amount.rest} bytes besides tensors")


def _describe_request(received: Received) -> dict[str, Any]:
    message = _message(received)
    contained: dict[str, Any] = {}
    for name, record in message.content.items() if message.has_content() else ():
        match record:
            case ArrayRecord():
                contained[name] = f"{len(_tensors(record))} tensors"
            case ConfigRecord() | MetricRecord():
                contained[name] = bounded(
                    plain({k: v for k, v in record.items() if k != "expects"})
                )
    return _envelope(message, received) | {"content": _short(contained, _LONGEST_IN_ALL)}


def _message(parts: Reply | Received) -> Message:
    """The message with all but the values of its tensors, whose pieces are not put together."""
    nothing = ArrayChunk(memoryview(b""))
    large: dict[str, InflatableObject] = {
        name: nothing
        for name, part in parts.parts.items()
        if len(part) > _LARGE and part.startswith(ArrayChunk.__qualname__.encode("ascii"))
    }
    message = inflate_object_from_contents(parts.tree.object_id, dict(parts.parts), objects=large)
    assert isinstance(message, Message)
    return message


def _envelope(message: Message, parts: Reply | Received) -> dict[str, Any]:
    return {
        "type": message.metadata.message_type[:_LONGEST_WORD],
        "round": message.metadata.group_id[:_LONGEST_WORD],
        "bytes": sum(map(len, parts.parts.values())),
    }


def _tensors(record: ArrayRecord) -> dict[str, str]:
    """Number format and shape by name; of a record that is not packed, as Flower has it."""
    try:
        entries = [(name, dtype, shape) for name, dtype, shape, _, _ in read_index(record)]
    except ProtocolError:
        entries = [(name, array.dtype, list(array.shape)) for name, array in record.items()]
    return {name: f"{dtype} {'x'.join(map(str, shape))}" for name, dtype, shape in entries}
