"""Where the relative names of a new run point to."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from shared.errors import ConfigError
from shared.model.published import NAMED_WEIGHTS
from shared.run.finished import read_finished_run
from shared.settings.config import RunConfig
from shared.storage.digest import file_sha256

REPORT = "report.html"
"""The page in a run's folder."""


def default_folder() -> Path:
    """A new run's folder where none is named."""
    return Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """The same with the path of a local weights file made absolute, and that of a teacher's run.

    The apps may run in another working directory than the command. The digest of the teacher's
    model is added. ConfigError where the teacher cannot be used.
    """
    if config.weights not in NAMED_WEIGHTS:
        config = replace(config, weights=_absolute(config.weights))
    return _with_teacher(config) if config.teacher else config


def _with_teacher(config: RunConfig) -> RunConfig:
    """ConfigError where it is no finished run, or has another outcome, image-colour or digest."""
    folder = _absolute(config.teacher)
    finished = read_finished_run(Path(folder))
    colour, taught = finished.stored.config.image_colour, finished.stored.config.outcome
    if colour != config.image_colour:
        raise ConfigError(
            f"The teacher in {folder} was trained with image-colour={colour}, but this run has "
            f"image-colour={config.image_colour}; teacher and student must read the same."
        )
    if taught != config.outcome:
        raise ConfigError(
            f"The teacher in {folder} predicts '{taught}' and this run '{config.outcome}'; a "
            "teacher needs the same classes in the same order."
        )
    digest = file_sha256(finished.model)
    if config.teacher_sha256 not in ("", digest):
        raise ConfigError(
            f"{finished.model} has SHA-256 {digest}, but teacher-sha256 is "
            f"{config.teacher_sha256}; name the run that has it, or leave teacher-sha256 out."
        )
    return replace(config, teacher=folder, teacher_sha256=digest)


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
