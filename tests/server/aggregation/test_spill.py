"""Contributions on disk: private, in the order of names, and gone afterwards."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from server.aggregation import spill as module
from server.aggregation.spill import Spill
from shared.errors import RunError
from shared.wire.arrays import Arrays

SHAPES = {"w": (3, 2), "b": (1,), "scalar": ()}


def arrays_of(seed: int) -> Arrays:
    generator = np.random.default_rng(seed)
    return {k: np.asarray(generator.normal(size=s), np.float32) for k, s in SHAPES.items()}


def filled(folder: Path | None) -> Spill:
    spill = Spill(folder, SHAPES)
    for seed, site in enumerate(("../../west", "east", "north")):
        spill.add(site, arrays_of(seed), images=10 + seed)
    return spill


def test_sites_come_back_in_the_order_of_their_names(tmp_path: Path) -> None:
    spill = filled(tmp_path)
    assert spill.images == [10, 11, 12]  # "../../west" < "east" < "north"
    for position in range(3):
        for key, value in arrays_of(position).items():
            assert np.array_equal(spill.load(position)[key], value)
    assert (spill.size(), spill.size(1)) == (8, 6)


@pytest.mark.parametrize("block", [1, 4, 15, 10**6])
def test_blocks_are_the_same_values_whatever_their_size(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    rows = np.concatenate(list(filled(tmp_path).blocks(7)), axis=1)
    expected = [
        np.concatenate([value.ravel() for value in arrays_of(seed).values()])[:7]
        for seed in range(3)
    ]
    assert np.array_equal(rows, np.stack(expected))


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        spill = filled(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(spill.folder.stat().st_mode) == 0o700
    files = list(spill.folder.iterdir())
    assert len(files) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert spill.folder.parent == tmp_path


def test_closing_removes_everything_and_beginning_what_a_killed_process_left(
    tmp_path: Path,
) -> None:
    (tmp_path / "config.json").write_text("{}")
    left = filled(tmp_path)
    spill = filled(tmp_path)
    assert not left.folder.exists()
    spill.close()
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_without_a_folder_others_are_left_alone() -> None:
    one, two = filled(None), filled(None)
    assert one.folder.exists()
    one.close()
    two.close()
    assert not two.folder.exists()


def test_a_folder_that_takes_no_files(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot be kept in .*--resume"):
        Spill(tmp_path / "gone", SHAPES)
    spill = filled(tmp_path)
    (spill.folder / "3").touch()  # its place is taken
    with pytest.raises(RunError, match="The update of south cannot be kept"):
        spill.add("south", arrays_of(3), 1)


def test_a_file_that_was_cut_short(tmp_path: Path) -> None:
    spill = filled(tmp_path)
    os.truncate(spill.folder / "1", 12)
    with pytest.raises(RunError, match="cut short"):
        list(spill.blocks(8))


@pytest.mark.parametrize(
    "use",
    [
        lambda spill: spill.add("south", arrays_of(3), 1),
        lambda spill: spill.take("east"),
        lambda spill: spill.load(0),
        lambda spill: list(spill.blocks(8)),
    ],
    ids=["add", "take", "load", "blocks"],
)
def test_a_folder_that_was_removed_meanwhile(
    tmp_path: Path, use: Callable[[Spill], object]
) -> None:
    spill = filled(tmp_path)
    shutil.rmtree(spill.folder)
    with pytest.raises(RunError, match=r"were removed.*by another program.*--resume"):
        use(spill)
    spill.close()
