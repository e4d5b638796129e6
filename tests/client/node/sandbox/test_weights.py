"""Published weights are fetched before the process without a network starts."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from client.node.calls import Stopped
from client.node.sandbox.weights import fetch_weights
from shared.errors import WeightsError
from shared.model.resnet import RESNET50
from shared.model.sources import published_weights

SITE = """
[site]
name = "north"
[data]
images = "images"
labels = "labels.csv"
patient = "patient"
outcome = "grade"
positive = ["severe"]
negative = ["none"]
"""
SETTINGS = {"weights": "xrv", "backbone": "resnet50", "weights-sha256": ""}
FILE = published_weights("xrv", RESNET50).file


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "north"
    (folder / "images").mkdir(parents=True)
    (folder / "labels.csv").touch()
    (folder / "site.toml").write_text(SITE, encoding="utf-8")
    monkeypatch.setenv("FEDTHAW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is served on the loopback."""
    folder = tmp_path / "mirror"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Not on the terminal."""

    with ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    ) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("FEDTHAW_WEIGHTS_MIRROR", f"http://127.0.0.1:{server.server_port}")
        yield folder
        server.shutdown()
        thread.join()


def test_they_are_fetched_once(site: Path, mirror: Path, tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.ones(2)}, mirror / FILE)
    fetch_weights(site, SETTINGS, threading.Event())
    kept = tmp_path / "cache" / "weights" / FILE
    assert kept.read_bytes() == (mirror / FILE).read_bytes()
    (mirror / FILE).unlink()
    fetch_weights(site, SETTINGS, threading.Event())


def test_what_went_wrong_is_said(site: Path, mirror: Path) -> None:
    with pytest.raises(WeightsError, match=f"{FILE} .* could not be downloaded .* 404"):
        fetch_weights(site, SETTINGS, threading.Event())


@pytest.mark.usefixtures("mirror")
def test_nothing_is_fetched_for_other_weights_or_the_sites_own(site: Path) -> None:
    fetch_weights(site, SETTINGS | {"weights": "random"}, threading.Event())
    fetch_weights(site, SETTINGS | {"weights": "/a/file.pt"}, threading.Event())
    (site / "site.toml").write_text(f'{SITE}[compute]\nweights = "own.pt"\n', encoding="utf-8")
    fetch_weights(site, SETTINGS, threading.Event())


@pytest.mark.usefixtures("mirror")
def test_an_end_meanwhile_is_not_waited_for(site: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        fetch_weights(site, SETTINGS, stop)
