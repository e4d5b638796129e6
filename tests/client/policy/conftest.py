"""A deployed site under rules of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from client.workspace import Workspace, open_workspace
from shared.settings.config import RunConfig


@pytest.fixture
def open_deployed(
    tmp_path: Path,
    write_site: Callable[..., Path],
    write_base: Callable[..., Path],
    micro_config: Callable[..., RunConfig],
) -> Callable[..., tuple[Workspace, RunConfig]]:
    """Open a site of so many patients, under these lines of [policy], for a run of these settings.

    With the same patients and rules it is the same folder, opened again as it is then.
    """
    base = write_base(tmp_path / "base.safetensors")
    folders: dict[tuple[str, int], Path] = {}

    def make(
        rules: str = "", patients: int = 40, **settings: object
    ) -> tuple[Workspace, RunConfig]:
        if (rules, patients) not in folders:
            folders[rules, patients] = write_site(
                tmp_path / str(len(folders)), "north", patients,
                policy=rules, more=f'weights = "{base}"',
            )  # fmt: skip
        folder = folders[rules, patients]
        config = micro_config(**({"weights": str(base)} | settings))
        node = {"site": str(folder), "deployed": True, "keep": str(folder / "kept")}
        return open_workspace(node, config, refresh=True), config

    return make
