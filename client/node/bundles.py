"""The code that a coordinator wants to run here: fetched, compared with what the owner approved."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from client.node.home import SiteHome
from shared.errors import SiteError
from shared.storage.files import make_private_folder, write_private

SIZE_LIMIT = 10 * 2**20
_ROOM = "work-"
_DIGEST = re.compile(r"[0-9a-f]{64}")


def require_digest(name: str) -> None:
    """SiteError where what the coordinator names its bundle by is no SHA-256."""
    if not _DIGEST.fullmatch(name):
        # Not shown: it would stand in a command that the owner is asked to type.
        raise SiteError(
            "The coordinator names a bundle by something that is not a SHA-256; it was not run.",
            shareable="the bundle's name is not a SHA-256",
        )


def approved_bundle(home: SiteHome, digest: str, fetch: Callable[[], bytes]) -> bytes:
    """The content of a bundle that was approved; SiteError where these are not its bytes.

    What the coordinator says that the digest is counts for nothing: it is computed here.
    """
    require_digest(digest)
    kept = home.bundles / f"{digest}.fab"
    if kept.exists() and _digest(content := kept.read_bytes()) == digest:
        return content
    content = fetch()
    if len(content) > SIZE_LIMIT or _digest(content) != digest:
        raise SiteError(
            f"The coordinator sent another bundle than {digest}; it was not run.",
            shareable=f"the bundle that it was sent is not {digest}",
        )
    make_private_folder(home.bundles)
    write_private(kept, content)
    return content


def make_room(home: SiteHome) -> Path:
    """A fresh, empty, private folder for a working process; those of processes before are removed.

    Only the site's own client calls this, which holds the site. A bundle's files are not put here.
    """
    make_private_folder(home.bundles)
    for old in home.bundles.iterdir():
        # Versions before this one unpacked bundles into folders named by their digests.
        if old.is_dir() and (old.name.startswith(_ROOM) or _DIGEST.fullmatch(old.name)):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=_ROOM, dir=home.bundles))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
