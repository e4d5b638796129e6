"""Where the relative names of a new run point to."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from shared.model.published import NAMED_WEIGHTS
from shared.settings.config import RunConfig

REPORT = "report.html"
"""The page in a run's folder."""


def default_folder() -> Path:
    """A new run's folder where none is named."""
    return Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def with_absolute_weights(config: RunConfig) -> RunConfig:
    """The same configuration with the path of a local weights file made absolute.

    The apps may run in another working directory than the command.
    """
    if config.weights in NAMED_WEIGHTS:
        return config
    return replace(config, weights=os.path.abspath(os.path.expanduser(config.weights)))
