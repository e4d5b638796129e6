"""A study's plan: its arms, folds and repeats, and on this machine its sites."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shared.settings.setting import Scalar


@dataclass(frozen=True)
class Arm:
    """One way of training."""

    name: str
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    sites: tuple[str, ...] = ()
    """Names of the sites that take part; empty: all."""
    pooled: bool = False
    """All data in one place."""

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.name).strip("-").lower()


@dataclass(frozen=True)
class StudyPlan:
    """Arms, the first of which the others are compared with, folds and repeats."""

    arms: tuple[Arm, ...]
    folds: int
    repeats: int
    quick: bool = False
    """A quick look, at small settings."""


@dataclass(frozen=True)
class SimulatedStudy:
    """A plan, the folders of its sites by their names, and the settings of all arms."""

    plan: StudyPlan
    sites: Mapping[str, Path]
    settings: Mapping[str, Scalar]
