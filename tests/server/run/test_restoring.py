"""Where a continued run goes on, from what its folder still has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from server.results.shown import Shown
from server.run.checkpoint import Checkpoint, checkpoint_rounds, save_checkpoint
from server.run.exact import FILE, append_exact
from server.run.folder import RunFolder
from server.run.ledger import UNDONE, RoundRecord, append_round, read_rounds
from server.run.restoring import restore
from shared.errors import RunError
from shared.settings.config import RunConfig

MakeRecord = Callable[..., RoundRecord]


@pytest.fixture
def folder(tmp_path: Path, make_record: MakeRecord) -> RunFolder:
    """Three rounds in the ledger, checkpoints of the last two."""
    run = RunFolder(tmp_path, "run-1", RunConfig())
    for number in (1, 2, 3):
        append_round(run.ledger, Shown(make_record(number)))
    for number in (2, 3):
        delta = {"fc.bias": np.full(1, number, np.float32)}
        save_checkpoint(tmp_path, Checkpoint(round=number, delta=delta, strategy={}))
    return run


def checkpoint_file(folder: RunFolder, number: int) -> Path:
    return folder.path / f"round-{number:04d}.safetensors"


def test_a_run_that_begins_has_nothing(tmp_path: Path) -> None:
    assert restore(RunFolder(tmp_path, "run-1", RunConfig())) == (None, [])


def test_it_goes_on_after_the_last_round(folder: RunFolder) -> None:
    checkpoint, records = restore(folder)
    assert checkpoint is not None
    assert checkpoint.round == 3
    assert [record.round for record in records] == [1, 2, 3]
    assert not (folder.path / UNDONE).exists()


def test_a_damaged_checkpoint_costs_its_round_and_keeps_the_line(folder: RunFolder) -> None:
    checkpoint_file(folder, 3).write_bytes(b"torn")
    checkpoint, records = restore(folder)
    assert checkpoint is not None
    assert (checkpoint.round, len(records)) == (2, 2)
    assert [record.round for record in read_rounds(folder.ledger)] == [1, 2]
    assert '"round": 3' in (folder.path / UNDONE).read_text(encoding="utf-8")


def test_what_would_lose_everything_is_refused_and_changes_nothing(folder: RunFolder) -> None:
    for number in (2, 3):
        checkpoint_file(folder, number).write_bytes(b"torn")
    before = folder.ledger.read_bytes()
    with pytest.raises(RunError, match=r"has 3 rounds, but no whole checkpoint .*damaged: 2, 3"):
        restore(folder)
    assert folder.ledger.read_bytes() == before
    assert checkpoint_rounds(folder.path) == [2, 3]


def test_an_exact_line_that_a_kill_has_torn_spoils_none_after_it(
    folder: RunFolder, make_record: MakeRecord
) -> None:
    """Decisions are made from the exact numbers, so after the next kill these have to be there."""
    exact = {number: make_record(number, auroc=0.71234 + number) for number in (1, 2, 3, 4)}
    for number in (1, 2, 3):
        append_exact(folder.path, exact[number])
    with (folder.path / FILE).open("a", encoding="utf-8") as file:
        file.write('{"round": 4, "pl')
    assert restore(folder)[1] == [exact[1], exact[2], exact[3]]
    append_exact(folder.path, exact[4])
    save_checkpoint(folder.path, Checkpoint(round=4, delta={}, strategy={}))
    append_round(folder.ledger, Shown(make_record(4)))
    assert restore(folder)[1] == list(exact.values())
