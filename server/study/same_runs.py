"""Whether the runs in a study's folder are those of its arms as these are now.

An arm may be left out of a study and taken up again, and at a coordinator another study's run may
have the same name. What was trained otherwise must not be counted as this arm's.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from server.run.folder import RESUMABLE_CHANGES
from server.study.cells import Cell
from shared.errors import ConfigError
from shared.model.published import NAMED_WEIGHTS
from shared.run.finished import read_stored_run
from shared.settings.config import RunConfig
from shared.settings.setting import key_of

_FREE = RESUMABLE_CHANGES | {"sites", "teacher", "teacher_sha256", "threads"}
"""What may differ, or is compared in another way."""


def require_same_runs(runs: Iterable[tuple[Cell, RunConfig]], out: Path) -> None:
    """ConfigError where the folder of a run holds one of other settings or sites."""
    for cell, wanted in runs:
        folder = cell.folder(out)
        if not (folder / "config.json").exists():
            continue
        if differing := _differing(read_stored_run(folder).config, wanted):
            raise ConfigError(
                f"{folder} holds a run of other settings than arm '{cell.arm.name}' has "
                f"({', '.join(differing)}); remove that folder, and the run is trained again, or "
                "rename the arm."
            )


def _differing(there: RunConfig, wanted: RunConfig) -> list[str]:
    found = [
        f"{key_of(item.name)} is {before!r} there and {now!r} here"
        for item in dataclasses.fields(RunConfig)
        if item.name not in _FREE
        and (before := getattr(there, item.name)) != (now := getattr(wanted, item.name))
    ]
    if _base(there) != _base(wanted):
        found.append(f"weights is {_base(there)} there and {_base(wanted)} here")
    if _place(there.teacher) != _place(wanted.teacher):
        found.append("teacher is another run")
    if wanted.sites and _names(there) != _names(wanted):
        found.append(f"its sites are {', '.join(sorted(_names(there)))}")
    return found


def _base(config: RunConfig) -> str:
    """A file may have been moved."""
    return config.weights if config.weights in NAMED_WEIGHTS else "a file"


def _place(teacher: str) -> str:
    return os.path.abspath(os.path.expanduser(teacher)) if teacher else ""


def _names(config: RunConfig) -> set[str]:
    return {Path(folder).name for folder in config.site_folders}
