"""Asking sites and reading what they answer: the one way, in a round, an evaluation or a study.

`messaging.py` brings the messages; here an answer is read, or becomes the problem that it is. What
is done about a problem is the asker's: a round goes on without the site, a comparison does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from server.federation.connected import Presence
from server.federation.messaging import Missing, Question, send_and_collect
from server.federation.replies import as_sentence, error_reason
from shared.errors import FedThawError, ProtocolError
from shared.protocol.replies import DIVERGED
from shared.wire.size import serialized_size

T = TypeVar("T")
Read = Callable[[int, RecordDict], T]
"""From a node and the content of its answer; ProtocolError where that breaks the contract."""
Further = Callable[[int, RecordDict], RecordDict | None]
"""From a node and the content of its answer to what it is asked instead; None: that is its answer.

ProtocolError where the answer breaks the contract."""

_VERBS = {
    "missing": "did not answer",
    "failed": "could not be asked",
    "refused": "answered otherwise than asked",
}


@dataclass(frozen=True)
class Problem:
    """Why a site has no answer that can be used."""

    kind: Literal["missing", "failed", "refused"]
    """No answer came; an error came, in the site's own words; what came breaks the contract."""
    reason: str
    """To be read behind the site's name, without a full stop."""
    code: int = 0
    """Of a site's own error: one of `shared.protocol.replies`."""
    diverged: bool = False
    """Whether the weights that it was sent, or that it sends, are of no use."""

    def of(self, name: str) -> str:
        """The problem as a sentence about this site."""
        return as_sentence(f"{name} {_VERBS[self.kind]}: {self.reason}")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What came of asking one node."""

    node: int
    said: T | Problem
    bytes: int
    """Received, whether it can be used or not."""


def ask(
    grid: Grid,
    contents: Mapping[int, RecordDict],
    question: Question,
    read: Read[T],
    *,
    look: Callable[[], Mapping[int, Presence]] | None = None,
    on_loss: Callable[[int, bool], None] = lambda node, back: None,
    check: Callable[[], None] = lambda: None,
    further: Further = lambda node, content: None,
) -> Iterator[Answer[T]]:
    """Send each node its content and yield what each says, in the order of arrival.

    One answer a node, come what may; see `send_and_collect` for who is waited for, how long, and
    for `look`, `on_loss` and `check`. What `read` raises but ProtocolError ends all.
    """
    broken: dict[int, str] = {}

    def instead(node: int, reply: Message) -> RecordDict | None:
        try:
            return None if reply.has_error() else further(node, reply.content)
        except ProtocolError as error:
            broken[node] = str(error)
            return None

    for node, message in send_and_collect(
        grid, contents, question, look=look, on_loss=on_loss, check=check, further=instead
    ):
        if node in broken and isinstance(message, Message):
            size = serialized_size(message.content)
            yield Answer(node, Problem("refused", broken[node]), size)
        else:
            yield _answer(node, message, read)


def said_by_all(
    answers: Iterable[Answer[T]],
    names: Mapping[int, str],
    error: Callable[[str], FedThawError] = ProtocolError,
) -> dict[str, T]:
    """What every site says, by its name; `error` of a sentence with the first one's problem."""
    said: dict[str, T] = {}
    for answer in answers:
        if isinstance(answer.said, Problem):
            raise error(answer.said.of(names[answer.node]))
        said[names[answer.node]] = answer.said
    return said


def _answer(node: int, message: Message | Missing, read: Read[T]) -> Answer[T]:
    if isinstance(message, Missing):
        return Answer(node, Problem("missing", message.reason), 0)
    received = serialized_size(message.content) if message.has_content() else 0
    if message.has_error():
        code = message.error.code
        problem = Problem("failed", error_reason(message), code, code == DIVERGED)
        return Answer(node, problem, received)
    try:
        return Answer(node, read(node, message.content), received)
    except ProtocolError as error:
        return Answer(node, Problem("refused", str(error), diverged=error.diverged), received)
