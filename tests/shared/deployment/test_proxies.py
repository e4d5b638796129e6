"""Who asks this machine's own ports asks no proxy; httpx, which Flower uses, decides."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.deployment.names import LOOPBACK
from shared.deployment.proxies import drop_unusable_proxies, past_the_proxy, proxy_towards

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
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
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


USABLE = ["", "http://proxy:3128", "proxy:3128", "proxy", "https://u:p@proxy.example.org:1"]
UNUSABLE = [
    "socks5://h:1080", "socks5h://h", "socks4://h:1", "ftp://x", "direct://", "::::", "http://",
    "http://[::1", "http://h:99999", "http://h:x", "http://\x01", "http://a b:1", "://", "http://:80",
]  # fmt: skip
HOSTS = [
    "*", "localhost", "::1", "[::1]", "::1/128", "fe80::1%eth0", "10.0.0.0/8", ".a.b", "*.a.b",
    "host:80", "host:99999", "a b", "http://[", "http://x", "é.de", "<local>", "a;b",
    "host:", "\x01",
]  # fmt: skip


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without a proxy."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("name", ["ALL_PROXY", "https_proxy", "Http_Proxy"])
@pytest.mark.parametrize("value", UNUSABLE)
def test_what_httpx_cannot_use_is_dropped_and_said(
    bare: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment = {name: value, "PATH": "/bin"}
    (sentence,) = drop_unusable_proxies(environment)
    assert environment == {"PATH": "/bin"}
    assert sentence.startswith(f"{name} is ignored: ")
    assert "HTTPS_PROXY=http://proxy.example.org:3128" in sentence
    assert sentence.isprintable()


@pytest.mark.parametrize("value", USABLE)
def test_what_it_can_use_stays(value: str) -> None:
    environment = {"HTTPS_PROXY": value}
    assert drop_unusable_proxies(environment) == ()
    assert environment == {"HTTPS_PROXY": value}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("more", ["", ", example.org"])
def test_a_client_begins_whatever_no_proxy_names(
    bare: pytest.MonkeyPatch, host: str, more: str
) -> None:
    """httpx is the oracle: it raises where it reads the environment."""
    environment = {"No_Proxy": host + more, "http_proxy": "http://proxy:1"}
    drop_unusable_proxies(environment)
    for name, value in environment.items():
        bare.setenv(name, value)
    httpx.Client(verify=False).close()
    assert "example.org" in environment["No_Proxy"] or not more


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30), st.booleans())
@example("http://a:1\t", True)
def test_a_client_begins_whatever_the_environment_says(text: str, proxy: bool) -> None:
    environment = {"all_proxy" if proxy else "no_proxy": text}
    drop_unusable_proxies(environment)
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        httpx.Client(verify=False).close()


def test_blanks_around_a_proxy_are_no_part_of_it() -> None:
    environment = {"http_proxy": " http://proxy:3128 "}
    assert drop_unusable_proxies(environment) == ()
    assert environment == {"http_proxy": "http://proxy:3128"}


def test_a_password_is_not_told(bare: pytest.MonkeyPatch) -> None:
    (sentence,) = drop_unusable_proxies({"ALL_PROXY": "socks5://me:se@cret@h:1"})
    assert "cret" not in sentence
    bare.setenv("HTTPS_PROXY", "http://me:secret@proxy:3128")
    assert proxy_towards("hub.example.org") == "http://proxy:3128"
    assert proxy_towards("hub.example.org", encrypted=False) == ""
    bare.setenv("NO_PROXY", "example.org")
    assert proxy_towards("hub.example.org") == ""


def test_any_spelling_of_no_proxy_is_kept() -> None:
    assert past_the_proxy("h", {"No_Proxy": "a"})["no_proxy"] == "a,h"
    assert past_the_proxy("h", {"NO_PROXY": "a", "no_proxy": "b"})["NO_PROXY"] == "b,h"
