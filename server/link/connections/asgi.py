"""Requests and answers as the web server passes them on, taken as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def declared_length(scope: Scope) -> int | None:
    """Bytes that the body is said to have; None for a request with a body that does not say.

    The server itself ends a request that sends more than it declares.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0 if scope["method"] in ("GET", "HEAD") else None


async def read_body(receive: Receive, limit: int, patience: float | None = None) -> bytes | None:
    """The whole body, None where it is too large.

    Raises TimeoutError where nothing more comes for `patience` seconds.
    """
    parts: list[bytes] = []
    length = 0
    while True:
        async with asyncio.timeout(patience):
            message = await receive()
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        if length > limit:
            return None
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return b"".join(parts)


def replay(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read already, then what comes after it."""
    given = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


class Answer:
    """An answer whose end is held back until it has left this process.

    The web server takes what it is given at once, and keeps it for a reader that does not read;
    what follows has to wait for that.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._whole = False

    async def take(self, message: MutableMapping[str, Any]) -> None:
        """Pass a part on, the last one as if more would come."""
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._whole = True
            message = {**message, "more_body": True}
        await self._send(message)

    async def finish(self) -> None:
        """Say that this was all, once most of it is on its way."""
        if self._whole:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def closing(send: Send) -> Send:
    """The same, and the connection ends with the answer."""

    async def last(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"connection", b"close")]
            message = {**message, "headers": headers}
        await send(message)

    return last


async def refuse(send: Send, status: int, text: str) -> None:
    """Answer with a status and a sentence."""
    headers = [(b"content-type", b"text/plain"), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
