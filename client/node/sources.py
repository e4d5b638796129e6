"""What a bundle may hold: Python sources and pyproject.toml, as its own list has them.

The sources are read from the very bytes whose SHA-256 the site's owner approved, and handed to the
working process in memory. Nothing of a bundle is unpacked to disk, so nothing there can be changed
or added between the check and the run.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping, Sequence

from shared.errors import SiteError
from shared.run.bundle import PACKAGES
from shared.storage.archives import ArchiveTooLarge, unpacked

UNPACKED_LIMIT = 50 * 2**20
MOST_FILES = 5000
LIST, PROJECT = ".info/CONTENT", "pyproject.toml"

_SOURCE = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:/[A-Za-z_][A-Za-z0-9_]*)+\.py", re.ASCII)
_LINE = re.compile(r"(?P<name>[^,]+),(?P<digest>[0-9a-f]{64}),[0-9]+", re.ASCII)


def read_sources(digest: str, content: bytes) -> dict[str, bytes]:
    """The bundle's Python files by name, such as `client/app.py`.

    `digest` names the bundle in errors. Raises SiteError for anything else in it (compiled files,
    links, other paths), for names that stand for one file or module twice, for a file that its list
    does not have or has with another SHA-256, and for one that swells.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _require_expected(digest, archive.infolist())
            files = dict(unpacked(archive, UNPACKED_LIMIT))
    except ArchiveTooLarge as error:
        raise _refusal(digest, f"unpacks to more than {UNPACKED_LIMIT} bytes") from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError) as error:
        raise _refusal(digest, "is not a zip archive that can be read") from error
    _require_listed(digest, files)
    return {name: data for name, data in files.items() if name not in (LIST, PROJECT)}


def _require_expected(digest: str, members: Sequence[zipfile.ZipInfo]) -> None:
    if len(members) > MOST_FILES or sum(one.file_size for one in members) > UNPACKED_LIMIT:
        raise _refusal(digest, f"unpacks to more than {UNPACKED_LIMIT} bytes, or too many files")
    for one in members:
        # ZipInfo cuts a name at a NUL; the name as it stands in the archive counts.
        name = one.orig_filename
        kind = stat.S_IFMT(one.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or one.flag_bits & 1:
            raise _refusal(digest, f"holds {name!r}, which is a link, a device or encrypted")
        if name not in (LIST, PROJECT) and not _SOURCE.fullmatch(name):
            raise _refusal(
                digest,
                f"holds {name!r}; only Python sources of {', '.join(PACKAGES)}, pyproject.toml and "
                "its list of files may be in a bundle, nothing compiled",
            )
    _require_distinct(digest, [one.filename for one in members])


def _require_distinct(digest: str, names: Sequence[str]) -> None:
    """One file a name, whatever its case, and one file a module."""
    seen: set[str] = set()
    for name in names:
        module = name.casefold().removesuffix(".py").removesuffix("/__init__")
        if module in seen:
            raise _refusal(digest, f"holds {name!r}, or a module of that name, twice")
        seen.add(module)


def _require_listed(digest: str, files: Mapping[str, bytes]) -> None:
    """The archive's list and its files agree, name by name and hash by hash."""
    if LIST not in files:
        raise _refusal(digest, f"has no list of its files ({LIST})")
    listed: dict[str, str] = {}
    for line in files[LIST].decode("utf-8", "replace").splitlines():
        found = _LINE.fullmatch(line)
        if found is None or found["name"] in listed:
            raise _refusal(digest, "has a list of its files that cannot be read")
        listed[found["name"]] = found["digest"]
    actual = {n: hashlib.sha256(data).hexdigest() for n, data in files.items() if n != LIST}
    for name in sorted(listed.keys() | actual.keys()):
        if listed.get(name) != actual.get(name):
            raise _refusal(digest, f"holds another {name!r} than its list of files says")


def _refusal(digest: str, what: str) -> SiteError:
    return SiteError(
        f"Bundle {digest} {what}; it was not run.",
        shareable="the bundle holds something other than the Python sources that it lists",
    )
