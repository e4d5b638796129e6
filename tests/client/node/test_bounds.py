"""What a hostile coordinator answers, over a real socket, and what a site takes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from client.node import bounds
from client.node.bounds import bound
from shared.deployment.wire import PIECE_BYTES

Answer = Callable[[BaseHTTPRequestHandler], None]
Serve = Callable[[Answer], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with this answer; its address."""
    servers: list[HTTPServer] = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                try:
                    answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    return

            def log_message(self, *_: object) -> None:
                return

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def with_headers(handler: BaseHTTPRequestHandler, **headers: str) -> None:
    handler.send_response(200)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10, follow_redirects=True) as client:
        bound(client)
        yield client


def test_an_answer_without_end_is_read_to_the_limit(serve: Serve, client: httpx.Client) -> None:
    sent = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        with_headers(handler)
        while sent < 400 * 2**20:
            handler.wfile.write(b"x" * 2**16)
            sent += 2**16

    address = serve(endless)
    with pytest.raises(httpx.TransportError, match="get-run has more than 4194304 bytes"):
        client.post(f"{address}/v1/fleet/get-run")
    assert sent < 40 * 2**20


def test_an_announced_size_is_enough_to_refuse(serve: Serve, client: httpx.Client) -> None:
    address = serve(lambda handler: with_headers(handler, content_length=str(2**40)))
    with pytest.raises(httpx.TransportError, match="get-fab has more than"):
        client.post(f"{address}/v1/fleet/get-fab")


def test_nothing_is_unpacked(serve: Serve, client: httpx.Client) -> None:
    asked: list[str | None] = []

    def compressed(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers["accept-encoding"])
        with_headers(handler, content_encoding="gzip", content_length="3")
        handler.wfile.write(b"abc")

    with pytest.raises(httpx.TransportError, match="compressed"):
        client.post(f"{serve(compressed)}/v1/fleet/get-run")
    assert asked == ["identity"]


def test_a_body_that_drips_ends(
    serve: Serve, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "SECONDS", 0.3)
    ended = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        with_headers(handler)
        while not ended.wait(0.05):
            handler.wfile.write(b"x")

    with pytest.raises(httpx.TransportError, match="took over"):
        client.post(f"{serve(drip)}/v1/fleet/get-run")
    ended.set()


def test_a_redirection_is_not_followed(serve: Serve, client: httpx.Client) -> None:
    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(307)
        handler.send_header("location", "http://127.0.0.1:9/")
        handler.send_header("content-length", "0")
        handler.end_headers()

    assert client.post(f"{serve(elsewhere)}/v1/fleet/get-run").status_code == 307


@pytest.mark.parametrize("name", ["pull-object", "get-run", "get-fab"])
def test_what_a_site_needs_arrives(serve: Serve, client: httpx.Client, name: str) -> None:
    size = {"pull-object": PIECE_BYTES + 1000, "get-run": 2**20, "get-fab": 10 * 2**20}[name]

    def whole(handler: BaseHTTPRequestHandler) -> None:
        with_headers(handler, content_length=str(size))
        handler.wfile.write(b"x" * size)

    assert len(client.post(f"{serve(whole)}/v1/fleet/{name}").content) == size
