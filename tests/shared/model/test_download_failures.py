"""Tests of shared.model.sources: downloads that fail."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from shared.errors import WeightsError
from shared.model import sources
from shared.model.published import Published
from shared.model.sources import fetch

NAME = "tiny-state.pt"


def _file() -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(1000)}, buffer)
    return buffer.getvalue()


def _nothing_left(cached: Path) -> bool:
    return not cached.parent.exists() or not list(cached.parent.iterdir())


def _refused(published: Published, cached: Path, reason: str) -> None:
    """The error must tell what happened and all that a person can do."""
    with pytest.raises(WeightsError, match=reason) as caught:
        fetch(published)
    for part in (published.url, str(cached), "set weights to", "FEDTHAW_WEIGHTS_MIRROR"):
        assert part in str(caught.value)
    assert _nothing_left(cached)


def test_missing_on_the_server(
    published: Published, cached: Path, file_server: SimpleNamespace
) -> None:
    _refused(published, cached, f"{file_server.url}/{NAME}: the server answered 404 Not Found")


def test_truncated_transfer(
    published: Published, cached: Path, file_server: SimpleNamespace
) -> None:
    content = _file()
    file_server.files[f"/weights/{NAME}"] = content
    file_server.missing_bytes = 10
    _refused(published, cached, rf"received {len(content)} bytes, expected {len(content) + 10}\b")


def test_truncated_transfer_of_unknown_length(
    published: Published, cached: Path, file_server: SimpleNamespace
) -> None:
    file_server.files[f"/weights/{NAME}"] = _file()[:-500]
    file_server.announce_length = False
    _refused(published, cached, "not a weights file")


def test_proxy_that_answers_with_a_page(
    published: Published, cached: Path, file_server: SimpleNamespace
) -> None:
    file_server.files[f"/weights/{NAME}"] = b"<html>Access blocked</html>"
    _refused(published, cached, "a proxy's notice")


def test_silent_server(
    published: Published,
    cached: Path,
    file_server: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources, "TIMEOUT", 0.1)
    file_server.delay = 0.5
    _refused(published, cached, r"no answer within 0\.1 seconds")


def test_no_server(published: Published, cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDTHAW_WEIGHTS_MIRROR", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "*")
    _refused(published, cached, "Connection refused")


@pytest.mark.parametrize("mirror", ["host/folder", "https://", "http://exa mple/x"])
def test_mirror_that_is_no_address(
    published: Published, cached: Path, monkeypatch: pytest.MonkeyPatch, mirror: str
) -> None:
    monkeypatch.setenv("FEDTHAW_WEIGHTS_MIRROR", mirror)
    _refused(published, cached, "could not be downloaded")


def test_cache_folder_that_cannot_be_made(
    published: Published, home: Path, file_server: SimpleNamespace
) -> None:
    (home / "cache").write_text("a file where a folder should be")
    with pytest.raises(WeightsError, match="set weights to"):
        fetch(published)
