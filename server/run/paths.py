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
    model is added. ConfigError where that is no finished run, and where it has another.
    """
    if config.weights not in NAMED_WEIGHTS:
        config = replace(config, weights=_absolute(config.weights))
    if not config.teacher:
        return config
    model = read_finished_run(Path(_absolute(config.teacher))).model
    digest = file_sha256(model)
    if config.teacher_sha256 not in ("", digest):
        raise ConfigError(
            f"{model} has SHA-256 {digest}, but teacher-sha256 is {config.teacher_sha256}; name "
            "the run that has it, or leave teacher-sha256 out."
        )
    return replace(config, teacher=_absolute(config.teacher), teacher_sha256=digest)


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
