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

    What is there by then is still yielded: in this process, where sites answer one after the
    other as they are asked for, that is all of them, so a simulation does not depend on how fast
    the machine is. A reply of another node or to another message is never yielded; late ones are
    dropped.
    """
    messages = [
        Message(content, dst_node_id=node, message_type=message_type, group_id=group, ttl=timeout)
        for node, content in contents.items()
    ]
    deadline = time.monotonic() + timeout
    identifiers = list(grid.push_messages(messages))
    pending = {i: n for i, n in zip(identifiers, contents, strict=True) if i}
    while pending:
        waiting = len(pending)
        for reply in list(grid.pull_messages(list(pending))):
            node = pending.pop(reply.metadata.reply_to_message_id, None)
            if node is not None:
                yield node, reply
        if len(pending) < waiting:
            continue
        if time.monotonic() >= deadline:
            return
        time.sleep(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))
