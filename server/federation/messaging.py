"""Sending one message to each of several nodes and taking the replies as they arrive."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from server.federation.connected import Presence, connected
from server.federation.transport import pull

POLL_SECONDS = 0.05
PRESENCE_SECONDS = 1.0
"""How often it is looked whether those who have not answered are still there."""


@dataclass(frozen=True)
class Question:
    """What is asked, and how long an answer may take."""

    message_type: str
    group: str
    timeout: float
    """Seconds for all answers."""
    patience: float = float("inf")
    """Seconds that a node's connection may be lost before its answer is given up."""

    @property
    def late(self) -> Missing:
        """What a node is that has not answered when the time is up."""
        return Missing(f"no reply within {self.timeout:g} s")


@dataclass(frozen=True)
class Missing:
    """Why a node has not answered."""

    reason: str


@dataclass
class _Asked:
    """A node that has not answered yet."""

    identifier: str
    activation: str
    lost_since: float | None = None


def send_and_collect(
    grid: Grid,
    contents: Mapping[int, RecordDict],
    question: Question,
    *,
    look: Callable[[], Mapping[int, Presence]] | None = None,
    on_loss: Callable[[int, bool], None] = lambda node, back: None,
    check: Callable[[], None] = lambda: None,
    further: Callable[[int, Message], RecordDict | None] = lambda node, reply: None,
) -> Iterator[tuple[int, Message | Missing]]:
    """Yield (node, reply) as replies arrive, and (node, Missing) for those that will not.

    What is there when the time is up is still yielded: in this process, where sites answer one
    after the other as they are asked for, that is all of them, so a simulation does not depend on
    how fast the machine is. A node whose process was restarted is asked again: what it was asked
    before is lost. A reply of another node or to another message is never yielded; late ones are
    dropped. `on_loss` hears of lost and regained connections; `check` may raise to end all. A reply
    for which `further` has another content is not yielded: the node is asked that instead.
    """
    look, contents = look or (lambda: connected(grid)), dict(contents)
    deadline, looked = time.monotonic() + question.timeout, time.monotonic()
    pending = _send(grid, contents, question, look() if contents else {})
    for unreachable in [node for node in contents if node not in pending]:
        yield unreachable, Missing("the message cannot be sent to it")
    while pending:
        found = False
        by_identifier = {asked.identifier: node for node, asked in pending.items()}
        for reply in pull(grid, list(by_identifier)):
            node = by_identifier.get(reply.metadata.reply_to_message_id)
            if node in pending:
                found = True
                if pending.pop(node).lost_since is not None:
                    on_loss(node, True)
                content = further(node, reply)
                if content is not None:
                    contents[node] = content
                    pending |= _send(grid, {node: content}, question, look())
                if node not in pending:
                    yield node, reply
        if found:
            continue
        check()
        now = time.monotonic()
        if now >= deadline:
            yield from ((node, question.late) for node in pending)
            return
        if now - looked >= PRESENCE_SECONDS:
            looked = now
            yield from _look_after(grid, contents, question, pending, look(), on_loss)
        time.sleep(min(POLL_SECONDS, max(0.0, deadline - now)))


def _look_after(
    grid: Grid,
    contents: Mapping[int, RecordDict],
    question: Question,
    pending: dict[int, _Asked],
    present: Mapping[int, Presence],
    on_loss: Callable[[int, bool], None],
) -> Iterator[tuple[int, Missing]]:
    """Give up who is away for too long, and ask again who is back as another process."""
    now = time.monotonic()
    for node, asked in list(pending.items()):
        if node not in present:
            if asked.lost_since is None:
                asked.lost_since = now
                on_loss(node, False)
            elif now - asked.lost_since >= question.patience:
                del pending[node]
                yield node, Missing(f"its connection is lost for {question.patience:g} s")
            continue
        if asked.lost_since is not None:
            asked.lost_since = None
            on_loss(node, True)
        if present[node].activation != asked.activation:
            pending |= _send(grid, {node: contents[node]}, question, present)


def _send(
    grid: Grid,
    contents: Mapping[int, RecordDict],
    question: Question,
    present: Mapping[int, Presence],
) -> dict[int, _Asked]:
    messages = [
        Message(
            content,
            dst_node_id=node,
            message_type=question.message_type,
            group_id=question.group,
            ttl=question.timeout,
        )
        for node, content in contents.items()
    ]
    identifiers = list(grid.push_messages(messages))
    return {
        node: _Asked(identifier, present[node].activation if node in present else "")
        for node, identifier in zip(contents, identifiers, strict=True)
        if identifier
    }
