"""Who asks this machine's own ports asks no proxy; httpx, which Flower uses, decides."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from shared.deployment.names import LOOPBACK
from shared.deployment.proxies import past_the_proxy

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Here(BaseHTTPRequestHandler):
    """Answers that it was reached."""

    def do_GET(self) -> None:
        """Answer any request."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer((LOOPBACK, 0), Here) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


@pytest.mark.parametrize("named", ["", "example.org", "example.org, 10.0.0.1", "*", "127.0.0.1"])
@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_the_loopback_is_reached(
    port: int, monkeypatch: pytest.MonkeyPatch, named: str, variable: str
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nobody listens
    if named in ("", "example.org"):
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://{LOOPBACK}:{port}/")
    for name, value in past_the_proxy(LOOPBACK, {variable: named}).items():
        monkeypatch.setenv(name, value)
    assert httpx.get(f"http://{LOOPBACK}:{port}/").text == "here"


def test_what_was_named_before_stays_named() -> None:
    assert past_the_proxy("h", {"NO_PROXY": "a,b"}) == {"no_proxy": "a,b,h", "NO_PROXY": "a,b,h"}
    assert past_the_proxy("h", {"no_proxy": "", "NO_PROXY": "a"})["no_proxy"] == "a,h"
    assert past_the_proxy("h", {}) == {"no_proxy": "h", "NO_PROXY": "h"}
