"""Tests of shared.model.sources."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from shared.errors import ConfigError, WeightsError
from shared.model.published import PUBLISHED_WEIGHTS, Published, cache_folder
from shared.model.registry import BACKBONES, backbone_of
from shared.model.sources import fetch, published_weights

NAME = "tiny-state.pt"


def _file(value: float = 0.0) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": torch.full((1000,), value)}, buffer)
    return buffer.getvalue()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_download_then_cache(
    published: Published, cached: Path, file_server: SimpleNamespace
) -> None:
    content = _file()
    file_server.files[f"/weights/{NAME}"] = content
    received: list[tuple[int, int | None]] = []
    path = fetch(published, _sha256(content), lambda done, size: received.append((done, size)))
    assert path == cached
    assert path.read_bytes() == content
    assert received[-1] == (len(content), len(content))
    assert [entry.name for entry in cached.parent.iterdir()] == [NAME]
    assert fetch(published, _sha256(content)) == cached
    assert file_server.requests == [f"/weights/{NAME}"]


def test_cache_is_used_without_a_server(
    published: Published, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDTHAW_WEIGHTS_MIRROR", "http://127.0.0.1:1")
    cached.parent.mkdir(parents=True)
    cached.write_bytes(_file())
    assert fetch(published) == cached


def test_publishers_own_copy_comes_first(
    published: Published, cached: Path, file_server: SimpleNamespace
) -> None:
    own = published.folder() / NAME
    for place in (own, cached):
        place.parent.mkdir(parents=True)
        place.write_bytes(_file())
    assert fetch(published) == own
    assert not file_server.requests


def test_download_with_another_checksum_is_deleted(
    published: Published, cached: Path, file_server: SimpleNamespace
) -> None:
    content, required = _file(1.0), "ab" * 32
    file_server.files[f"/weights/{NAME}"] = content
    with pytest.raises(WeightsError) as caught:
        fetch(published, required)
    for part in (_sha256(content), required, str(cached), file_server.url):
        assert part in str(caught.value)
    assert not list(cached.parent.iterdir())


def test_own_file_with_another_checksum_is_left_alone(published: Published) -> None:
    own = published.folder() / NAME
    own.parent.mkdir()
    own.write_bytes(b"damaged")
    with pytest.raises(WeightsError) as caught:
        fetch(published, "cd" * 32)
    for part in (_sha256(b"damaged"), "cd" * 32, str(own)):
        assert part in str(caught.value)
    assert own.read_bytes() == b"damaged"


def test_checksum_in_the_file_name(home: Path, file_server: SimpleNamespace) -> None:
    content = _file()
    name = f"net-{_sha256(content)[:8]}.pth"
    published = Published(f"https://example.invalid/{name}", lambda: home / "publisher")
    file_server.files[f"/weights/{name}"] = _file(2.0)
    with pytest.raises(WeightsError, match=f"must begin with {_sha256(content)[:8]}"):
        fetch(published)
    file_server.files[f"/weights/{name}"] = content
    assert fetch(published).read_bytes() == content


def test_cache_folder_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FEDTHAW_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)
    assert cache_folder() == tmp_path / "fedthaw" / "weights"


def test_published_files(home: Path) -> None:
    xrv = published_weights("xrv", backbone_of("resnet50"))
    assert xrv.url == (
        "https://github.com/mlmed/torchxrayvision/releases/download/v1/"
        "pc-nih-rsna-siim-vin-resnet50-test512-e400-state.pt"
    )
    assert xrv.sha256_prefix == ""
    assert xrv.folder() == home / ".torchxrayvision" / "models_data"
    imagenet = published_weights("imagenet", backbone_of("resnet50"))
    assert imagenet.file == "resnet50-11ad3fa6.pth"
    assert imagenet.sha256_prefix == "11ad3fa6"
    assert imagenet.folder() == home / "torch" / "hub" / "checkpoints"
    assert published_weights("imagenet", backbone_of("resnet18")).sha256_prefix == "f37072fd"


@pytest.mark.parametrize(
    ("weights", "backbone", "known"),
    [
        ("xrv", "resnet18", r"resnet50\b.* only"),
        ("xrv", "micro", r"resnet50\b.* only"),
        ("imagenet", "micro", r"resnet50 or resnet18\b.* only"),
    ],
)
def test_weights_that_do_not_exist(weights: str, backbone: str, known: str) -> None:
    with pytest.raises(ConfigError, match=f"{known}, not for {backbone}"):
        published_weights(weights, backbone_of(backbone))


def test_each_name_of_published_weights_is_one_of_the_setting() -> None:
    assert {name for one in BACKBONES.values() for name in one.published} == set(PUBLISHED_WEIGHTS)


def test_a_proxy_for_all_protocols_is_used(
    published: Published, file_server: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by every other connection of the program."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", file_server.url.removesuffix("/weights"))
    monkeypatch.setenv("FEDTHAW_WEIGHTS_MIRROR", "http://mirror.invalid/weights")
    content = _file()
    file_server.files[f"http://mirror.invalid/weights/{NAME}"] = content
    assert fetch(published).read_bytes() == content
