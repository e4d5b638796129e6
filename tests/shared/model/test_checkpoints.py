"""Tests of shared.model.checkpoints."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from shared.errors import WeightsError
from shared.model.checkpoints import read_checkpoint, strip_prefix
from shared.model.network import build_network


@pytest.fixture
def state() -> dict[str, Tensor]:
    return dict(build_network("micro", seed=4).state_dict())


def _equal(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    return list(left) == list(right) and all(torch.equal(left[k], right[k]) for k in left)


@pytest.mark.parametrize("name", ["base.safetensors", "base.pt", "base.pth"])
def test_reading_gives_what_was_saved(tmp_path: Path, name: str, state: dict[str, Tensor]) -> None:
    path = tmp_path / name
    if name.endswith("safetensors"):
        save_file(state, path)
    else:
        torch.save(state, path)
    read = read_checkpoint(path)
    assert read.keys() == state.keys()
    assert all(torch.equal(read[key], state[key]) for key in state)


def test_saved_parameters_come_back_without_gradient(tmp_path: Path) -> None:
    path = tmp_path / "base.pt"
    torch.save(dict(build_network("micro").named_parameters()), path)
    assert not any(value.requires_grad for value in read_checkpoint(path).values())


class _Attack:
    """Unpickling this would create a folder."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, legacy: bool) -> None:
    trace, path = tmp_path / "ran", tmp_path / "attack.pt"
    torch.save({"conv1.weight": _Attack(trace)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match="program code, which is never run"):
        read_checkpoint(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)  # the attack is a real one
    assert trace.is_dir()


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {"conv1.weight": torch.zeros(1)}, "epoch": 3},
        {"conv1.weight": [1.0]},
        {3: torch.zeros(1)},
        [torch.zeros(1)],
        torch.zeros(1),
        pytest.param(
            {"conv1.weight": torch.zeros(3, 3).to_sparse()},
            marks=pytest.mark.filterwarnings("ignore:Validating sparse tensor"),
        ),
    ],
)
def test_anything_but_a_flat_mapping_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "base.pt"
    torch.save(content, path)
    with pytest.raises(WeightsError, match="must be a flat mapping of names to tensors"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["base.pt", "base.pth", "base.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>blocked</html>", b"\x80\x02", b"PK\x03\x04"])
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=name):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["base.pt", "base.safetensors"])
def test_truncated_files_are_refused(tmp_path: Path, name: str, state: dict[str, Tensor]) -> None:
    path = tmp_path / name
    save_file(state, path) if name.endswith("safetensors") else torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=name):
        read_checkpoint(path)


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"must end in \.safetensors, \.pt or \.pth"):
        read_checkpoint(tmp_path / "base.ckpt")


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model."])
def test_a_common_prefix_is_stripped(state: dict[str, Tensor], prefix: str) -> None:
    assert _equal(strip_prefix({prefix + key: value for key, value in state.items()}), state)


def test_a_prefix_of_some_keys_stays(state: dict[str, Tensor]) -> None:
    mixed = {f"model.{key}": value for key, value in state.items()} | {"extra": torch.zeros(1)}
    assert _equal(strip_prefix(mixed), mixed)
