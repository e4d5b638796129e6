"""What a site takes of a coordinator's answers: no more bytes and no longer than one can need."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import httpx

from shared.deployment.wire import PIECE_BYTES

MOST_PARTS = 4096
"""Of one message; a whole ResNet-50 has some 30."""
MOST_OF_A_MESSAGE = 2**28
"""Bytes of all its parts, as the coordinator takes of a reply's tensors."""
SECONDS = 300.0
"""Until an answer is there whole, once it has begun."""
_BUNDLE = 10 * 2**20
_ENVELOPE = 2**16
_USUAL = 4 * 2**20
_MOST = {"pull-object": PIECE_BYTES + _ENVELOPE, "get-fab": _BUNDLE + _ENVELOPE}


def bound(client: httpx.Client) -> None:
    """Let this client read no answer beyond its limits, unpack none, and follow no redirection.

    What goes beyond is an httpx.TransportError, as if the network had failed.
    """
    client.follow_redirects = False
    client.headers["accept-encoding"] = "identity"
    client.event_hooks = {"response": [_bound_answer]}


def _bound_answer(response: httpx.Response) -> None:
    """Called when the head of an answer is there, and nothing of its body."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx.RemoteProtocolError("its answer is compressed, which was not asked for")
    name = response.request.url.path.rpartition("/")[2]
    most = _MOST.get(name, _USUAL)
    with suppress(ValueError):
        if int(response.headers.get("content-length", "0")) > most:
            raise httpx.RemoteProtocolError(_too_large(name, most))
    assert isinstance(response.stream, httpx.SyncByteStream)
    response.stream = _Bounded(response.stream, name, most)


class _Bounded(httpx.SyncByteStream):
    """A body that ends with an error where it is too long, or takes too long."""

    def __init__(self, stream: httpx.SyncByteStream, name: str, most: int) -> None:
        self._stream, self._name, self._most = stream, name, most

    def __iter__(self) -> Iterator[bytes]:
        left, until = self._most, time.monotonic() + SECONDS
        for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise httpx.RemoteProtocolError(_too_large(self._name, self._most))
            if time.monotonic() > until:
                raise httpx.ReadTimeout(f"its answer to {self._name} took over {SECONDS:g} s")
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _too_large(name: str, most: int) -> str:
    return f"its answer to {name} has more than {most} bytes"
