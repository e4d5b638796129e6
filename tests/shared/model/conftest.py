"""A file server on the loopback, and an isolated home and cache."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from shared.model.published import Published


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small networks on a busy machine lose more by sharing the cores than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _answer(served: SimpleNamespace, handler: BaseHTTPRequestHandler) -> None:
    served.requests.append(handler.path)
    time.sleep(served.delay)
    content = served.files.get(handler.path)
    if content is None:
        handler.send_error(404)
        return
    handler.send_response(200)
    if served.announce_length:
        handler.send_header("Content-Length", str(len(content) + served.missing_bytes))
    handler.end_headers()
    handler.wfile.write(content)


@pytest.fixture
def file_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Answers on 127.0.0.1 and is the mirror of all published weights.

    Serves `files` by path and keeps the paths of all `requests`; `missing_bytes` of each file are
    announced but not sent.
    """
    served = SimpleNamespace(
        files={}, missing_bytes=0, announce_length=True, delay=0.0, requests=[], url=""
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(served, self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        served.url = f"http://127.0.0.1:{server.server_address[1]}/weights"
        monkeypatch.setenv("FEDTHAW_WEIGHTS_MIRROR", served.url + "/")
        monkeypatch.setenv("no_proxy", "*")
        yield served
        server.shutdown()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder with FedThaw's cache in `cache`."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    monkeypatch.setenv("FEDTHAW_CACHE", str(folder / "cache"))
    return folder


@pytest.fixture
def published(home: Path) -> Published:
    """A checkpoint of the web that is on no machine yet."""
    return Published("https://example.invalid/release/tiny-state.pt", lambda: home / "publisher")


@pytest.fixture
def cached(home: Path) -> Path:
    """Where the download must end."""
    return home / "cache" / "weights" / "tiny-state.pt"
