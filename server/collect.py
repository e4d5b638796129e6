"""Sending one message to each of several nodes and taking the replies as they arrive."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

POLL_SECONDS = 0.2


def send_and_collect(
    grid: Grid, contents: Mapping[int, RecordDict], message_type: str, group: str, timeout: float
) -> Iterator[tuple[int, Message]]:
    """Yield (node, reply) as replies arrive, until all have or `timeout` seconds have passed.

    A reply of another node or to another message is never yielded; late ones are dropped.
    """
    messages = [
        Message(content, dst_node_id=node, message_type=message_type, group_id=group, ttl=timeout)
        for node, content in contents.items()
    ]
    deadline = time.monotonic() + timeout
    identifiers = list(grid.push_messages(messages))
    pending = {i: n for i, n in zip(identifiers, contents, strict=True) if i}
    while pending:
        arrived = list(grid.pull_messages(list(pending)))
        for reply in arrived:
            node = pending.pop(reply.metadata.reply_to_message_id, None)
            if node is not None:
                yield node, reply
        if pending and time.monotonic() >= deadline:
            return
        if not arrived:
            time.sleep(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))
