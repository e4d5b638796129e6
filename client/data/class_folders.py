"""Folders of images, one for each class, as many collections are published."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from client.data.discover import is_ignored
from shared.errors import SiteError
from shared.plain import shown

_PARTS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})
"""What folders of a data set's parts are called, below which the classes' folders lie."""


def class_folders(root: Path) -> Mapping[str, Sequence[Path]]:
    """The classes in the order of the alphabet, each with its folders, without a system's own.

    A class has several folders where their names differ in how accents are written alone.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(root.iterdir()):
        if path.is_dir() and not is_ignored(path.name):
            found.setdefault(class_of_folder(path.name), []).append(path)
    return dict(sorted(found.items()))


def class_of_folder(name: str) -> str:
    """The class by its folder's name, accents composed (NFC): a Mac decomposes them."""
    return unicodedata.normalize("NFC", name)


def require_no_parts(root: Path, classes: Iterable[str]) -> None:
    """SiteError where folders are the parts of a data set, which have those of the classes."""
    if parts := sorted(name for name in classes if name.casefold() in _PARTS):
        raise SiteError(
            f"The folders in {root} are parts of a data set ({', '.join(map(shown, parts))}), not "
            f"classes; name one of them, e.g. {root / parts[0]}. FedThaw splits patients itself."
        )
