"""Studies of tiny sites, their runs in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from shared import cli


@pytest.fixture
def two_sites(tmp_path: Path, write_site: Callable[..., Path]) -> list[Path]:
    """Folders of two small sites."""
    return [write_site(tmp_path / "sites", name, 14, seed=n) for n, name in enumerate(("a", "b"))]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run each cell here instead of in a process of its own; tells which were run."""
    begun: list[str] = []

    def simulate(cell: object, words: Sequence[str]) -> None:
        begun.append(f"{cell.arm.name} {cell.repeat} {cell.fold}")  # type: ignore[attr-defined]
        assert cli.run(cli.app, ["simulate", *words]) == 0

    monkeypatch.setattr("server.study.cells.simulate_apart", simulate)
    return begun
