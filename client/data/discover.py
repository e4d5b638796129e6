"""Finding the image files of a site by what they contain."""

from __future__ import annotations

import os
from pathlib import Path

from client.imaging.format import DICOM_SUFFIXES, image_format
from shared.errors import SiteError

# Suffixes that promise an image. Such a file is a candidate whatever it contains, so that a
# damaged one is reported instead of overlooked.
_RASTER_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif"})
_REFUSED_SUFFIXES = frozenset({".jp2", ".tif", ".tiff", ".bmp", ".gif", ".webp"})
IMAGE_SUFFIXES = DICOM_SUFFIXES | _RASTER_SUFFIXES | _REFUSED_SUFFIXES
_IGNORED = frozenset({"thumbs.db", "desktop.ini", "dicomdir", "__macosx"})


def find_images(folder: Path) -> tuple[Path, ...]:
    """Candidate image files below `folder`, sorted by relative path.

    Hidden files, thumbnails and DICOMDIR are left out; links are followed, loops are not.
    Raises SiteError for a folder that cannot be listed.
    """
    found: list[Path] = []
    visited: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        status = os.stat(parent)
        identity = (status.st_dev, status.st_ino)
        if identity in visited:
            folders.clear()
            continue
        visited.add(identity)
        folders[:] = sorted(name for name in folders if not _ignored(name))
        paths = (Path(parent, name) for name in files if not _ignored(name))
        found.extend(path for path in paths if _is_candidate(path))
    return tuple(sorted(found, key=lambda path: path.relative_to(folder).as_posix()))


def _is_candidate(path: Path) -> bool:
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return path.is_file() or path.is_symlink()
    if not path.is_file():
        return False
    try:
        return image_format(path) is not None
    except OSError:
        # It may be an image: reading it later gives the reason for which it is set aside.
        return True


def _ignored(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _IGNORED


def _refuse(error: OSError) -> None:
    raise SiteError(
        f"The folder {error.filename} cannot be listed ({error.strerror}); "
        "give this user access to it, or move it out of the images folder."
    ) from error
