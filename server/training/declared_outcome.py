"""What a simulation predicts, where its settings do not say."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from shared.settings.config import RunConfig

# By name, as Flower finds the sites' package: the coordinator does not import it.
_SITES_MODULE = "client.declared_outcome"


def declared_by_sites(folders: Sequence[Path]) -> str:
    """The outcome that a simulation's site folders declare; SiteError where they differ."""
    return str(importlib.import_module(_SITES_MODULE).common_outcome(folders))


def named_by_sites(config: RunConfig) -> str:
    """The finding as a simulation's site folders name it; "" where they differ, or it is set."""
    if config.finding or not config.site_folders:
        return ""
    folders = [Path(folder) for folder in config.site_folders]
    return str(importlib.import_module(_SITES_MODULE).common_finding(folders))
