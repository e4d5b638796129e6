"""Where a site's images lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from client.data.discover import find_images
from shared.errors import SiteError

_USUAL = ("images", "image", "img", "imgs", "dicom", "dicoms", "bilder", "data")


@dataclass(frozen=True)
class FoundImages:
    """A folder with images, their paths relative to it, and why it is that folder."""

    folder: Path
    files: tuple[str, ...] = field(repr=False)
    why: str


def find_image_folder(site: Path, table: Path, named: Path | None) -> FoundImages:
    """The folder that is `named`; else the one of the site, or beside the table, that holds images.

    Raises SiteError where there is none.
    """
    if named is not None:
        if not named.is_dir():
            raise SiteError(f"There is no folder {named}; name the folder of the images.")
        found = _images_in(named, "as --images says")
        if found is None:
            raise SiteError(f"There is no DICOM, PNG or JPEG image in {named}; name another.")
        return found
    for folder in dict.fromkeys((site, table.parent)):
        if folder.is_dir() and (found := _usual_or_all(folder)) is not None:
            return found
    raise SiteError(
        f"There is no DICOM, PNG or JPEG image in {site}; put them there, or name their folder "
        "with --images."
    )


def _usual_or_all(folder: Path) -> FoundImages | None:
    """A subfolder of a usual name, or the one that holds all images, or the folder itself."""
    for child in sorted(folder.iterdir()):
        if child.name.casefold() in _USUAL and child.is_dir():
            found = _images_in(child, "its name, and it holds images")
            if found is not None:
                return found
    found = _images_in(folder, "the images lie there")
    if found is None:
        return None
    first = found.files[0].partition("/")
    if first[1] and all(file.startswith(f"{first[0]}/") for file in found.files):
        return _images_in(folder / first[0], "it holds all images")
    return found


def _images_in(folder: Path, why: str) -> FoundImages | None:
    files = tuple(path.relative_to(folder).as_posix() for path in find_images(folder))
    return FoundImages(folder, files, why) if files else None
