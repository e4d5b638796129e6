"""Finding the image files of a site by what they contain."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from client.imaging.format import DICOM_SUFFIXES, image_format
from shared.errors import SiteError

# Suffixes that promise an image. Such a file is a candidate whatever it contains, so that a
# damaged one is reported instead of overlooked.
_RASTER_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif"})
_REFUSED_SUFFIXES = frozenset({".jp2", ".tif", ".tiff", ".bmp", ".gif", ".webp"})
IMAGE_SUFFIXES = DICOM_SUFFIXES | _RASTER_SUFFIXES | _REFUSED_SUFFIXES
# What operating systems and network storage put beside the files: thumbnails, waste, snapshots.
_IGNORED = frozenset(
    {
        "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "iconcache.db", "dicomdir",
        "__macosx", "@eadir", "@tmp", "@recycle", "@recycled", "@recently-snapshot", "#recycle",
        "#snapshot", "~snapshot", "$recycle.bin", "recycler", "recycled", "lost+found",
        "system volume information", "network trash folder", "temporary items", "thedbfilesystem",
        "found.000",
    }
)  # fmt: skip


def find_images(folder: Path) -> tuple[Path, ...]:
    """Candidate image files below `folder`, sorted by relative path.

    Hidden files, what operating systems and network storage put there, and DICOMDIR are left out;
    links are followed, loops are not. Raises SiteError for a folder that cannot be listed.
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
        folders[:] = sorted(name for name in folders if not is_ignored(name))
        paths = (Path(parent, name) for name in files if not is_ignored(name))
        found.extend(path for path in paths if _is_candidate(path))
    return tuple(sorted(found, key=lambda path: path.relative_to(folder).as_posix()))


def count_left_out(folder: Path) -> dict[str, int]:
    """Files below `folder` that `find_images` leaves out for a name: that name -> how many."""
    counts: Counter[str] = Counter()
    visited: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        for name in filter(is_ignored, folders):
            inside = (files for _, _, files in os.walk(Path(parent, name)))
            counts[_group(name)] += sum(map(len, inside))
        folders[:] = [name for name in folders if not is_ignored(name)]
        counts.update(_group(name) for name in filter(is_ignored, files))
    return {name: number for name, number in sorted(counts.items()) if number}


def _group(name: str) -> str:
    """The name where it is a known one; of a hidden file it may be a patient's."""
    return name if name.casefold() in _IGNORED else "hidden"


def _is_candidate(path: Path) -> bool:
    # `os.path`, as a link into a closed folder makes an error of Path.is_file (Python 3.11).
    if path.suffix.lower() in IMAGE_SUFFIXES:
        # A link that leads nowhere is reported; one to a device or a pipe would be read for ever.
        return os.path.isfile(path) or (path.is_symlink() and not os.path.exists(path))
    if not os.path.isfile(path):
        return False
    try:
        return image_format(path) is not None
    except OSError:
        # It may be an image: reading it later gives the reason for which it is set aside.
        return True


def is_ignored(name: str) -> bool:
    """Whether it is hidden, or added by operating systems or network storage."""
    return name.startswith(".") or name.casefold() in _IGNORED


def _refuse(error: OSError) -> None:
    raise SiteError(
        f"The folder {error.filename} cannot be listed ({error.strerror}); "
        "give this user access to it, or move it out of the images folder."
    ) from error
