"""Published checkpoints: where they are, where they are kept, and how they are fetched."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from shared.deployment.proxies import dropped_proxies
from shared.errors import ConfigError, WeightsError
from shared.model.backbone import Backbone
from shared.model.published import Published, cache_folder
from shared.model.registry import BACKBONES
from shared.storage.digest import file_sha256
from shared.storage.files import write_atomically

# PyTorch is imported once a file has come: one that is here is found without it.
if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[int, int | None], None]
"""Called with the bytes received so far and the size of the file, None where unknown."""
Reader = Callable[[Path], Mapping[str, "Tensor"]]
"""Reads a checkpoint, or raises WeightsError."""

TIMEOUT = 30.0
"""Seconds to wait for each next piece of a file."""
CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection: who has none learns it soon."""

MIRROR_VARIABLE = "FEDTHAW_WEIGHTS_MIRROR"

_CHUNK = 1 << 20
# As it is: with a content encoding the announced size would not be the file's.
_HEADERS = {"User-Agent": "fedthaw", "Accept-Encoding": "identity"}


def published_weights(weights: str, backbone: Backbone) -> Published:
    """The published checkpoint for a backbone; ConfigError where there is none."""
    if weights not in backbone.published:
        having = " or ".join(one.name for one in BACKBONES.values() if weights in one.published)
        raise ConfigError(
            f"weights={weights} exists for backbone {having} only, not for {backbone.name}; choose "
            "that backbone, weights=random, or the path of a checkpoint."
        )
    return backbone.published[weights]


def fetch(
    published: Published,
    sha256: str = "",
    on_progress: Progress | None = None,
    read: Reader | None = None,
) -> Path:
    """The path of a published checkpoint on this machine; downloaded once where it is missing.

    The publisher's own cache is looked at first, then `cache_folder()`. `sha256` (64 digits, or
    empty for any) and the digits in the file's name are checked; a download that does not pass,
    or that `read` (by default any file of `torch.save`) refuses, is not kept. WeightsError says
    what to do by hand.
    """
    path = in_place(published)
    if path is None:
        return _download(published, sha256, on_progress, read)
    require_sha256(path, sha256 or published.sha256_prefix, str(path))
    return path


def fetch_for(
    weights: str, backbone: Backbone, sha256: str = "", on_progress: Progress | None = None
) -> Path:
    """`fetch` of the checkpoint that a backbone has under this name; ConfigError without one."""
    return fetch(published_weights(weights, backbone), sha256, on_progress, backbone.read)


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


def _download(
    published: Published, sha256: str, on_progress: Progress | None, read: Reader | None
) -> Path:
    target = cache_folder() / published.file
    mirror = os.environ.get(MIRROR_VARIABLE)
    url = f"{mirror.rstrip('/')}/{published.file}" if mirror else published.url

    def download_and_check(temporary: Path) -> None:
        _receive(url, temporary, on_progress)
        expected = sha256 or published.sha256_prefix
        require_sha256(temporary, expected, f"What {url} sent (not kept as {target})")
        try:
            (read or _torch_reader())(temporary)
        except WeightsError as error:
            raise ValueError(
                "what was received is not a weights file, perhaps a proxy's notice"
            ) from error

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, download_and_check)
    except (OSError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise WeightsError(
            f"The pretrained weights {published.file} are not on this machine and could not be "
            f"downloaded from {url}: {_reason(error)}. Where another machine has a connection, "
            f"fetch {published.url} there and put it at {target} here; or set weights to the path "
            f"of a checkpoint; or set the environment variable {MIRROR_VARIABLE} to a web folder "
            "that holds the file. Without any, weights=random trains from nothing (a simulation "
            f"with --quick does).{''.join(f' {sentence}' for sentence in dropped_proxies())}"
        ) from error
    return target


def _torch_reader() -> Reader:
    from shared.model.checkpoints import read_torch_checkpoint

    return read_torch_checkpoint


def _receive(url: str, path: Path, on_progress: Progress | None) -> None:
    """Raises httpx.HTTPError also where the connection ends before the file does."""
    limits = httpx.Timeout(TIMEOUT, connect=CONNECT_TIMEOUT)
    with (
        # This machine's authorities, among which a hospital's proxy may have put its own.
        httpx.Client(verify=ssl.create_default_context(), timeout=limits) as client,
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
        seconds = CONNECT_TIMEOUT if isinstance(error, httpx.ConnectTimeout) else TIMEOUT
        return f"no answer within {seconds:g} seconds"
    return str(error) or type(error).__name__
