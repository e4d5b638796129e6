"""The state after a round: bit for bit, complete or not at all, and only what is needed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError, safe_open

from server.run import checkpoint as module
from server.run.checkpoint import (
    Checkpoint,
    checkpoint_rounds,
    load_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)
from shared.errors import RunError


def state(number: int) -> Checkpoint:
    generator = np.random.default_rng(number)
    delta = {
        "layer4.0.conv1.weight": generator.normal(size=(3, 2, 1, 1)).astype(np.float32),
        "fc.bias": generator.normal(size=1).astype(np.float32),
    }
    received = {"layer4.0.conv1.weight": np.full((3, 2, 1, 1), 1e-3 * number, np.float32)}
    return Checkpoint(number, delta, {"m/fc.bias": np.full(1, number, np.float32)}, received)


def assert_equal(loaded: Checkpoint | None, expected: Checkpoint) -> None:
    assert loaded is not None
    assert loaded.round == expected.round
    for found, sent in [
        (loaded.delta, expected.delta),
        (loaded.strategy, expected.strategy),
        (loaded.received, expected.received),
    ]:
        assert set(found) == set(sent)
        for key, value in sent.items():
            assert found[key].dtype == np.float32
            assert np.array_equal(found[key], value)


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(7))
    assert [path.name for path in tmp_path.iterdir()] == ["round-0007.safetensors"]
    loaded = load_checkpoint(tmp_path, 7)
    assert_equal(loaded, state(7))
    assert loaded is not None
    torch.from_numpy(loaded.delta["fc.bias"])  # warns where it could not be written to


def test_a_strategy_without_state(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, Checkpoint(1, state(1).delta, {}))
    assert_equal(load_checkpoint(tmp_path, 1), Checkpoint(1, state(1).delta, {}))


def test_any_program_reads_the_stages(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(7))
    with safe_open(tmp_path / "round-0007.safetensors", framework="pt") as file:
        names = set(file.keys())
    assert names == {
        "delta/layer4.0.conv1.weight", "delta/fc.bias", "strategy/m/fc.bias",
        "received/layer4.0.conv1.weight",
    }  # fmt: skip


def test_a_checkpoint_that_is_missing(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path, 1) is None


@pytest.mark.parametrize("damage", ["empty", "truncated", "header", "noise", "folder"])
def test_a_damaged_checkpoint_is_none(tmp_path: Path, damage: str) -> None:
    save_checkpoint(tmp_path, state(1))
    path = tmp_path / "round-0001.safetensors"
    whole = path.read_bytes()
    changed = {
        "empty": b"",
        "truncated": whole[:-1],
        "header": whole[:8] + b"[" + whole[9:],
        "noise": bytes(range(256)),
    }
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        path.write_bytes(changed[damage])
    assert load_checkpoint(tmp_path, 1) is None


def test_only_checkpoints_are_listed(tmp_path: Path) -> None:
    for number in (12, 3, 10_000):
        save_checkpoint(tmp_path, state(number))
    for name in ("round-x.safetensors", ".round-0004.safetensors.17.tmp", "model.safetensors"):
        (tmp_path / name).touch()
    assert checkpoint_rounds(tmp_path) == [3, 12, 10_000]
    assert checkpoint_rounds(tmp_path / "absent") == []


def test_a_full_disk_leaves_the_checkpoints_before(
    tmp_path: Path, fill_disk: Callable[[], None]
) -> None:
    save_checkpoint(tmp_path, state(1))
    fill_disk()
    sentence = r"checkpoint of round 2 cannot be written .*No space left.*make room there"
    with pytest.raises(RunError, match=sentence):
        save_checkpoint(tmp_path, state(2))
    assert [path.name for path in tmp_path.iterdir()] == ["round-0001.safetensors"]
    assert_equal(load_checkpoint(tmp_path, 1), state(1))


def test_a_disk_that_fills_up_within_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(tensors: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    save_checkpoint(tmp_path, state(1))
    monkeypatch.setattr(module, "save_file", fill)
    with pytest.raises(RunError, match="No space left"):
        save_checkpoint(tmp_path, state(1))
    assert [path.name for path in tmp_path.iterdir()] == ["round-0001.safetensors"]
    assert_equal(load_checkpoint(tmp_path, 1), state(1))


def test_the_rest_is_removed(tmp_path: Path) -> None:
    for number in range(1, 6):
        save_checkpoint(tmp_path, state(number))
    (tmp_path / "model.safetensors").touch()
    prune_checkpoints(tmp_path, {2, 5, 9})
    assert checkpoint_rounds(tmp_path) == [2, 5]
    assert (tmp_path / "model.safetensors").exists()


def test_a_checkpoint_that_cannot_be_opened_now_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, state(1))

    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as full:
        full.setattr(Path, "open", fail)
        with pytest.raises(RunError, match=r"cannot be read \(Too many open files\)\. It may be"):
            load_checkpoint(tmp_path, 1)
    assert_equal(load_checkpoint(tmp_path, 1), state(1))
