"""What a site sends, written down at the site before it leaves.

One JSON object a line: when, to whom, for which run, how many bytes, the names and shapes of all
tensors, and every number and text that is not a tensor. Its owner reads it with `fedthaw site log`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
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
    """What is in a reply, read from the very bytes that are sent."""
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


def record(path: Path, entry: Mapping[str, Any]) -> None:
    """Append an entry with the time, readable by this user alone; on disk when this returns."""
    line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), **entry})
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "rb+", buffering=0) as file:
        # After a torn line the new one would be part of it.
        torn = file.seek(0, os.SEEK_END) and os.pread(handle, 1, file.tell() - 1) != b"\n"
        data = f"{chr(10) if torn else ''}{line}\n".encode()
        while data:  # a disk that is almost full takes a part at first
            data = data[file.write(data) :]
        os.fsync(handle)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """All entries, the oldest first; a torn last line, left by a crash, is passed over."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                continue


def _tensors(record: ArrayRecord) -> dict[str, str]:
    """Number format and shape by name; of a record that is not packed, as Flower has it."""
    try:
        entries = [(name, dtype, shape) for name, dtype, shape, _, _ in read_index(record)]
    except ProtocolError:
        entries = [(name, array.dtype, list(array.shape)) for name, array in record.items()]
    return {name: f"{dtype} {'x'.join(map(str, shape))}" for name, dtype, shape in entries}
