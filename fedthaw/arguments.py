"""What is passed from Python, parsed once: folders, files and settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from shared.errors import ConfigError
from shared.settings.file import read_settings_file
from shared.settings.setting import Scalar, key_of
from shared.settings.stage_values import replaced

PathLike = str | os.PathLike[str]


def path_of(path: PathLike) -> Path:
    """The path, `~` for the home folder."""
    return Path(path).expanduser()


def paths_of(paths: PathLike | Iterable[PathLike]) -> tuple[Path, ...]:
    """Several paths; a single one may stand alone."""
    if isinstance(paths, str | os.PathLike):
        return (path_of(paths),)
    return tuple(path_of(path) for path in paths)


def settings_of(
    settings: Mapping[str, object] | None,
    keywords: Mapping[str, object],
    config: PathLike | None = None,
) -> dict[str, Scalar]:
    """Settings by their keys: `image_size` is `image-size`, NumPy's numbers are Python's.

    They win over those of the file `config`. ConfigError for one that is given twice, and for
    what is wrong in the file. Whether the others are valid is checked where they are used.
    """
    found: dict[str, Scalar] = {}
    for name, value in [*(settings or {}).items(), *keywords.items()]:
        key = key_of(name)
        if key in found:
            raise ConfigError(f"The setting {key} is given twice; leave one of them out.")
        found[key] = _plain(value)
    return found if config is None else replaced(read_settings_file(path_of(config)), found)


def _plain(value: object) -> Scalar:
    if isinstance(value, os.PathLike):
        return str(path_of(value))
    item = getattr(value, "item", None)  # of a NumPy number
    return cast(Scalar, item() if callable(item) else value)
