"""Published checkpoints: where they are, where they are kept, and how they are fetched."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import platformdirs
import torch
from torchvision.models import (
    ResNet18_Weights,
    ResNet50_Weights,
)

from shared.deployment.proxies import dropped_proxies
from shared.digest import file_sha256
from shared.errors import ConfigError, WeightsError
from shared.files import write_atomically
from shared.model.checkpoints import read_torch_checkpoint

Progress = Callable[[int, int | None], None]
"""Called with the bytes received so far and the size of the file, None where unknown."""

TIMEOUT = 30.0
"""Seconds to wait for a connection and for each next piece of a file."""

MIRROR_VARIABLE = "FEDTHAW_WEIGHTS_MIRROR"
CACHE_VARIABLE = "FEDTHAW_CACHE"

_CHUNK = 1 << 20
# As it is: with a content encoding the announced size would not be the file's.
_HEADERS = {"User-Agent": "fedthaw", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Published:
    """A checkpoint on the web, written by `torch.save`.

    `folder` is where the library that published it keeps its own copy. A file name like
    `resnet50-11ad3fa6.pth` carries the first digits of the file's SHA-256, as torch.hub has it.
    """

    url: str
    folder: Callable[[], Path]

    @property
    def file(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]

    @property
    def sha256_prefix(self) -> str:
        """The digits that the file name promises; empty where it promises none."""
        match = re.search(r"-([0-9a-f]{8,64})\.pth$", self.file)
        return match[1] if match else ""


def _torchxrayvision_folder() -> Path:
    # The file keeps its published name there (torchxrayvision.models.get_weights).
    return Path(os.path.expanduser("~"), ".torchxrayvision", "models_data")


def _torch_hub_folder() -> Path:
    return Path(torch.hub.get_dir(), "checkpoints")


_XRV_RELEASE = "https://github.com/mlmed/torchxrayvision/releases/download/v1"

PUBLISHED: Mapping[tuple[str, str], Published] = {
    ("xrv", "resnet50"): Published(
        f"{_XRV_RELEASE}/pc-nih-rsna-siim-vin-resnet50-test512-e400-state.pt",
        _torchxrayvision_folder,
    ),
    ("imagenet", "resnet50"): Published(ResNet50_Weights.IMAGENET1K_V2.url, _torch_hub_folder),
    ("imagenet", "resnet18"): Published(ResNet18_Weights.IMAGENET1K_V1.url, _torch_hub_folder),
}
"""By the settings `weights` and `backbone`."""


def published_weights(weights: str, backbone: str) -> Published:
    """The published checkpoint for a backbone; ConfigError where there is none."""
    if (weights, backbone) not in PUBLISHED:
        backbones = " or ".join(name for source, name in PUBLISHED if source == weights)
        raise ConfigError(
            f"weights={weights} exists for backbone {backbones} only, not for {backbone}; choose "
            "that backbone, weights=random, or the path of a checkpoint."
        )
    return PUBLISHED[weights, backbone]


def cache_folder() -> Path:
    """Where fetched checkpoints are kept: `$FEDTHAW_CACHE/weights`, else the user's cache."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return (Path(chosen) if chosen else platformdirs.user_cache_path("fedthaw")) / "weights"


def fetch(published: Published, sha256: str = "", on_progress: Progress | None = None) -> Path:
    """The path of a published checkpoint on this machine; downloaded once where it is missing.

    The publisher's own cache is looked at first, then `cache_folder()`. `sha256` (64 digits, or
    empty for any) and the digits in the file's name are checked; a download that does not pass,
    or is no weights file, is not kept. WeightsError says what to do by hand.
    """
    path = in_place(published)
    if path is None:
        return _download(published, sha256, on_progress)
    require_sha256(path, sha256 or published.sha256_prefix, str(path))
    return path


def in_place(published: Published) -> Path | None:
    """The published checkpoint's path where this machine has it."""
    paths = (folder / published.file for folder in (published.folder(), cache_folder()))
    return next((path for path in paths if path.is_file()), None)


def require_sha256(path: Path, expected: str, name: str) -> str:
    """The SHA-256 of a file, which must begin with `expected` (empty: any).

    WeightsError, in which `name` stands for the file, where it does not or cannot be read.
    """
    try:
        actual = file_sha256(path)
    except OSError as error:
        raise WeightsError(f"{name} cannot be read: {error.strerror}.") from error
    if not actual.startswith(expected):
        begin = "be" if len(expected) == 64 else "begin with"
        raise WeightsError(
            f"{name} has SHA-256 {actual}, but it must {begin} {expected}. The file is damaged or "
            "another one: replace it, or correct weights-sha256 if that is wrong."
        )
    return actual


def _download(published: Published, sha256: str, on_progress: Progress | None) -> Path:
    target = cache_folder() / published.file
    mirror = os.environ.get(MIRROR_VARIABLE)
    url = f"{mirror.rstrip('/')}/{published.file}" if mirror else published.url

    def download_and_check(temporary: Path) -> None:
        _receive(url, temporary, on_progress)
        expected = sha256 or published.sha256_prefix
        require_sha256(temporary, expected, f"What {url} sent (not kept as {target})")
        try:
            read_torch_checkpoint(temporary)
        except WeightsError as error:
            raise ValueError("what came is no weights file, perhaps a proxy's notice") from error

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, download_and_check)
    except (OSError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise WeightsError(
            f"{published.file} could not be downloaded from {url}: {_reason(error)}. Fetch "
            f"{published.url} by hand and put it at {target}; or set weights to the path of a "
            f"checkpoint; or set the environment variable {MIRROR_VARIABLE} to a web folder that "
            f"holds the file.{''.join(f' {sentence}' for sentence in dropped_proxies())}"
        ) from error
    return target


def _receive(url: str, path: Path, on_progress: Progress | None) -> None:
    """Raises httpx.HTTPError also where the connection ends before the file does."""
    with (
        # This machine's authorities, among which a hospital's proxy may have put its own.
        httpx.Client(verify=ssl.create_default_context(), timeout=TIMEOUT) as client,
        client.stream("GET", url, follow_redirects=True, headers=_HEADERS) as response,
        path.open("wb") as handle,
    ):
        response.raise_for_status()
        size = response.headers.get("Content-Length")
        for chunk in response.iter_bytes(_CHUNK):
            handle.write(chunk)
            if on_progress is not None:
                on_progress(response.num_bytes_downloaded, None if size is None else int(size))


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"the server answered {error.response.status_code} {error.response.reason_phrase}"
    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {TIMEOUT:g} seconds"
    return str(error) or type(error).__name__
