"""A run's folder with rounds in its ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from server.results.shown import Shown
from server.run.folder import RunFolder, write_config
from server.run.ledger import RoundRecord, append_round
from shared.settings.config import RunConfig

Grow = Callable[[Iterable[int]], list[RoundRecord]]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run of site folders, weights and a teacher that have paths."""
    config = RunConfig(
        out=str(tmp_path / "run"), sites="/secret/north:/secret/east", weights="/secret/base.pt",
        teacher="/secret/large",
    )  # fmt: skip
    folder = RunFolder(tmp_path / "run", "r1", config)
    write_config(folder, "sha256:abc", "/secret/base.pt")
    return folder


@pytest.fixture
def grow(run: RunFolder, make_record: Callable[..., RoundRecord]) -> Grow:
    """Append these rounds to the run's ledger."""

    def grow(numbers: Iterable[int]) -> list[RoundRecord]:
        records = [make_record(n, auroc=0.5 + n / 100, seconds=n / 8) for n in numbers]
        for record in records:
            append_round(run.ledger, Shown(record))
        return records

    return grow
