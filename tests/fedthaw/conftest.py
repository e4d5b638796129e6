"""Two small sites and settings of a second's training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fedthaw

SETTINGS: dict[str, Any] = {
    "backbone": "micro", "weights": "random", "image-size": 32, "probe-rounds": 1, "rounds": 2,
    "threads": 1,
}  # fmt: skip


@pytest.fixture(scope="session")
def sites(write_site: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sites")
    return [write_site(folder, name, seed=seed) for seed, name in enumerate(("north", "east"))]


@pytest.fixture(scope="session")
def settings() -> dict[str, Any]:
    return dict(SETTINGS)


@pytest.fixture(scope="session")
def run(sites: list[Path], tmp_path_factory: pytest.TempPathFactory) -> fedthaw.Run:
    out = tmp_path_factory.mktemp("runs") / "whole"
    return fedthaw.simulate(sites, out=out, settings=SETTINGS, progress=False)
