"""The code that a coordinator wants to run here: fetched, compared with what the owner approved."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from client.node.approvals import read_approvals
from client.node.home import SiteHome
from shared.archives import ArchiveTooLarge, unpacked
from shared.errors import SiteError
from shared.files import make_private_folder, write_private

SIZE_LIMIT = 10 * 2**20
_UNPACKED_LIMIT = 50 * 2**20
_DIGEST = re.compile(r"[0-9a-f]{64}")


def approved_bundle(
    home: SiteHome, digest: str, fetch: Callable[[], bytes], folder: Path | None = None
) -> bytes:
    """The bundle's content; SiteError unless its owner approved just these bytes.

    What the coordinator says that the digest is counts for nothing: it is computed here. `folder`
    is the site's, for the command that allows a bundle.
    """
    if not _DIGEST.fullmatch(digest):
        # Not shown: it would stand in a command that the owner is asked to type.
        raise SiteError(
            "The coordinator names a bundle by something that is no SHA-256; it was not run.",
            shareable="the bundle's name is no SHA-256",
        )
    if digest not in read_approvals(home):
        raise SiteError(
            f"The coordinator wants to run bundle {digest}, which is not approved here. To allow "
            f"it: fedthaw site approve {folder or 'FOLDER'} {digest}",
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
    # Anew each time: what lies there may have been changed since it was approved.
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for filename, data in unpacked(archive, _UNPACKED_LIMIT):
                _write(folder, digest, PurePosixPath(filename), data)
    except ArchiveTooLarge as error:
        raise SiteError(
            f"Bundle {digest} unpacks to more than {_UNPACKED_LIMIT} bytes; it was not run."
        ) from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise SiteError(f"Bundle {digest} is damaged ({error}); it was not run.") from error
    return folder


def _write(folder: Path, digest: str, name: PurePosixPath, data: bytes) -> None:
    if name.is_absolute() or ".." in name.parts:
        raise SiteError(f"Bundle {digest} has a file outside its folder; it was not run.")
    target = folder.joinpath(*name.parts)
    make_private_folder(target.parent)
    write_private(target, data)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
