"""The code that a coordinator wants to run here: fetched, compared with what the owner approved."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from client.node.approvals import read_approvals
from client.node.home import SiteHome
from shared.errors import SiteError
from shared.files import make_private_folder, write_private

SIZE_LIMIT = 10 * 2**20
_UNPACKED_LIMIT = 50 * 2**20
_READY = ".ready"


def approved_bundle(home: SiteHome, digest: str, fetch: Callable[[], bytes]) -> bytes:
    """The bundle's content; SiteError unless its owner approved just these bytes.

    What the coordinator says that the digest is counts for nothing: it is computed here.
    """
    if digest not in read_approvals(home):
        raise SiteError(
            f"The coordinator wants to run bundle {digest}, which is not approved here. To allow "
            f"it: fedthaw site approve {home.path.parent} {digest}",
            shareable=(
                f"its owner has not approved bundle {digest}; `fedthaw site approve` there allows "
                "it"
            ),
        )
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


def unpack(home: SiteHome, digest: str, content: bytes) -> Path:
    """The folder with the bundle's files; SiteError for one that leaves its folder or swells."""
    folder = home.bundles / digest
    if (folder / _READY).exists():
        return folder
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [one for one in archive.infolist() if not one.is_dir()]
        if sum(one.file_size for one in members) > _UNPACKED_LIMIT:
            raise SiteError(f"Bundle {digest} unpacks to more than {_UNPACKED_LIMIT} bytes.")
        for one in members:
            name = PurePosixPath(one.filename)
            if name.is_absolute() or ".." in name.parts:
                raise SiteError(f"Bundle {digest} has a file outside its folder; it was not run.")
            target = folder.joinpath(*name.parts)
            make_private_folder(target.parent)
            write_private(target, archive.read(one))
    write_private(folder / _READY, b"")
    return folder


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
