"""The HTTP of one connection with limits that hold before anything is parsed.

uvicorn's handler of a connection has none for the header, and takes requests that nobody waits to
have answered. Bytes are given to it in pieces that are within what a header may have.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.link.connections.limits import Limits
from server.link.connections.visitors import Visitor

VISITOR = "fedthaw.visitor"
"""Under this name a request's scope has the connection's Visitor."""


class StrictProtocol(HttpToolsProtocol):
    """One connection. Whatever is refused here ends it, with a sentence that says why."""

    def __init__(self, *, limits: Limits, visitor: Visitor | None = None, **given: Any) -> None:
        super().__init__(**given)
        self._limits = limits
        self._visitor = visitor
        self._head = 0
        """Bytes of a header that is not complete yet."""
        self._lines = 0
        self._body = 0
        """Bytes of the body that are still to come."""
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None
        self._refusal: tuple[int, str, str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, wherever it is counted."""
        self._ended = True
        self._stop_waiting()
        super().connection_lost(exc)
        if self._visitor is not None:
            self._visitor.among.left(self._visitor)

    def data_received(self, data: bytes) -> None:
        """Give the parser what may come now: the rest of a body, or a header within its limit."""
        while data and not self._ended:
            room = self._body or self._limits.head_bytes - self._head
            if room <= 0:
                self._refuse(
                    431, f"a header may have {self._limits.head_bytes} bytes", "header too large"
                )
                return
            piece, data = data[:room], data[room:]
            if not self._body:
                self._head += len(piece)
            super().data_received(piece)
            if self._head and self._timer is None and not self._ended:
                self._wait_for_head()

    # What the parser finds

    def on_message_begin(self) -> None:
        """A request begins; not while a second one waits for its turn.

        A second one is no pipelining: its site may have a whole answer of which this process has
        yet to learn that it left.
        """
        if self.pipeline:
            self._fail(400, "one request at a time", "pipelined requests")
        super().on_message_begin()
        self._lines = 0
        if self._visitor is not None:
            self.scope[VISITOR] = self._visitor  # type: ignore[literal-required]

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line, or one that follows a body."""
        self._lines += 1
        if self._lines > self._limits.head_lines:
            self._fail(
                431, f"a header may have {self._limits.head_lines} lines", "header too large"
            )
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let only a request whose body has a length within the limit get to the app."""
        self._stop_waiting()
        self._head = 0
        headers = dict(self.headers)
        if b"transfer-encoding" in headers or self.parser.should_upgrade():
            self._fail(
                411,
                "a request says how many bytes it has, and is HTTP",
                "no length of the body, or not HTTP",
            )
        length = headers.get(b"content-length", b"0")
        # The parser itself refuses what is no number, and a second length.
        self._body = int(length) if length.isdigit() else 0
        if self._body > self._limits.body_bytes:
            self._fail(413, f"more than {self._limits.body_bytes} bytes", "body too large")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body -= len(body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Let nothing more in where the answer was the last."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._end()

    # Refusals and times

    def send_400_response(self, msg: str) -> None:
        """What the parser cannot go on with, or what was refused while it parsed."""
        self._refuse(*(self._refusal or (400, msg, "not HTTP")))

    def _fail(self, status: int, text: str, why: str) -> None:
        """Refuse within the parser, which stops at an error."""
        self._refusal = (status, text, why)
        raise ValueError(text)

    def _refuse(self, status: int, text: str, why: str) -> None:
        if self._ended:
            return
        if self._visitor is not None:
            self._visitor.refused(why)
        answering = self.cycle is not None and not self.cycle.response_complete
        if not self.pipeline and not (answering and self.cycle.response_started):
            phrase = http.HTTPStatus(status).phrase
            self.transport.write(
                f"HTTP/1.1 {status} {phrase}\r\ncontent-type: text/plain\r\n"
                f"content-length: {len(text)}\r\nconnection: close\r\n\r\n{text}".encode("ascii")
            )
        self._end()

    def _end(self) -> None:
        """Read nothing more; close when the answer has left, a stranger's soon in any case."""
        if self._ended:
            return
        self._ended = True
        self._stop_waiting()
        self._unset_keepalive_if_required()
        with contextlib.suppress(RuntimeError):  # it may be closing already
            self.flow.pause_reading()
        self.transport.close()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self._visitor is not None and self._visitor.node is None:
            self.loop.call_later(self._limits.linger_seconds, self.transport.abort)

    def _wait_for_head(self) -> None:
        self._timer = self.loop.call_later(self._limits.head_seconds, self._too_late)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._refuse(408, "the rest of the header did not come", "slow header")
