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


@dataclass(frozen=True)
class Watch:
    """What the asker sees and says while answers are awaited."""

    look: Callable[[], Mapping[int, Presence]]
    """Who is connected."""
    lost: Callable[[int, bool], None] = lambda node, back: None
    """Hears that a node's connection is lost, or back."""
    check: Callable[[], None] = lambda: None
    """May raise, which ends all; called whenever nothing has arrived."""


class Exchange:
    """One question to several nodes, from sending it to the last reply.

    A node whose process was restarted is asked again: what it was asked before is lost. A reply of
    another node or to another message is never yielded; late ones are dropped.
    """

    def __init__(
        self,
        grid: Grid,
        contents: Mapping[int, RecordDict],
        question: Question,
        watch: Watch | None = None,
    ) -> None:
        """Ask each node its content; without `watch` only who is connected is looked at."""
        self._grid, self._question = grid, question
        self._watch = watch or Watch(lambda: connected(grid))
        self._contents = dict(contents)
        self._pending: dict[int, _Asked] = {}

    def replies(self) -> Iterator[tuple[int, Message | Missing]]:
        """Send, then yield (node, reply) as replies arrive; (node, Missing) for those that do not.

        What is there when the time is up is still yielded: in this process, where sites answer one
        after the other as they are asked for, that is all of them, so a simulation does not depend
        on how fast the machine is.
        """
        started = looked = time.monotonic()
        deadline = started + self._question.timeout
        self._send(self._contents, self._watch.look() if self._contents else {})
        for unreachable in [node for node in self._contents if node not in self._pending]:
            yield unreachable, Missing("the message cannot be sent to it")
        while self._pending:
            arrived = False
            for arrival in self._arrived():
                arrived = True
                yield arrival
            if arrived:
                continue
            self._watch.check()
            now = time.monotonic()
            if now >= deadline:
                yield from ((node, self._question.late) for node in self._pending)
                return
            if now - looked >= PRESENCE_SECONDS:
                looked = now
                yield from self._look_after(self._watch.look())
            time.sleep(min(POLL_SECONDS, max(0.0, deadline - now)))

    def ask_instead(self, node: int, content: RecordDict) -> bool:
        """Ask a node that has just replied this; whether it is sent, so that a reply will come."""
        self._contents[node] = content
        self._send({node: content}, self._watch.look())
        return node in self._pending

    def _arrived(self) -> Iterator[tuple[int, Message]]:
        by_identifier = {asked.identifier: node for node, asked in self._pending.items()}
        for reply in pull(self._grid, list(by_identifier)):
            node = by_identifier.get(reply.metadata.reply_to_message_id)
            if node in self._pending:
                if self._pending.pop(node).lost_since is not None:
                    self._watch.lost(node, True)
                yield node, reply

    def _look_after(self, present: Mapping[int, Presence]) -> Iterator[tuple[int, Missing]]:
        """Give up who is away for too long, and ask again who is back as another process."""
        now, patience = time.monotonic(), self._question.patience
        for node, asked in list(self._pending.items()):
            if node not in present:
                if asked.lost_since is None:
                    asked.lost_since = now
                    self._watch.lost(node, False)
                elif now - asked.lost_since >= patience:
                    del self._pending[node]
                    yield node, Missing(f"its connection is lost for {patience:g} s")
                continue
            if asked.lost_since is not None:
                asked.lost_since = None
                self._watch.lost(node, True)
            if present[node].activation != asked.activation:
                self._send({node: self._contents[node]}, present)

    def _send(self, contents: Mapping[int, RecordDict], present: Mapping[int, Presence]) -> None:
        """Await replies of those nodes to which the message could be sent."""
        messages = [
            Message(
                content,
                dst_node_id=node,
                message_type=self._question.message_type,
                group_id=self._question.group,
                ttl=self._question.timeout,
            )
            for node, content in contents.items()
        ]
        identifiers = list(self._grid.push_messages(messages))
        for node, identifier in zip(contents, identifiers, strict=True):
            if identifier:
                activation = present[node].activation if node in present else ""
                self._pending[node] = _Asked(identifier, activation)
