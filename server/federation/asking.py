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

from server.federation.messaging import Exchange, Missing, Question, Watch
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
    watch: Watch | None = None,
    further: Further = lambda node, content: None,
) -> Iterator[Answer[T]]:
    """Send each node its content and yield what each says, in the order of arrival.

    One answer a node, come what may; see `Exchange` for who is waited for, and how long. What
    `read` raises but ProtocolError ends all.
    """
    exchange = Exchange(grid, contents, question, watch)
    for node, message in exchange.replies():
        received = _size_of(message)  # before it is read, which may let go of its tensors
        said: T | Problem
        if isinstance(message, Missing):
            said = Problem("missing", message.reason)
        elif message.has_error():
            code = message.error.code
            said = Problem("failed", error_reason(message), code, code == DIVERGED)
        else:
            try:
                instead = further(node, message.content)
                if instead is not None and exchange.ask_instead(node, instead):
                    continue
                said = read(node, message.content)
            except ProtocolError as error:
                said = Problem("refused", str(error), diverged=error.diverged)
        yield Answer(node, said, received)


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


def _size_of(message: Message | Missing) -> int:
    if isinstance(message, Missing) or not message.has_content():
        return 0
    return serialized_size(message.content)
