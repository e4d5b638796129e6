"""The state after a round, on disk: the delta, the strategy's state, what the sites have."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from shared.errors import RunError
from shared.storage.files import write_atomically
from shared.wire.arrays import Arrays

_PARTS = ("delta", "strategy", "received", "mean", "probe")
_NAME = re.compile(r"round-(\d+)\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """State after a round."""

    round: int
    delta: Arrays
    strategy: Arrays
    received: Arrays = field(default_factory=dict)
    """The delta as sites received it last, of tensors that a dtype rounds; empty with float32."""
    mean: Arrays = field(default_factory=dict)
    """The mean of the rounds so far that the run ends with; empty before the first of them."""
    probe: Arrays = field(default_factory=dict)
    """The delta after the probe, where the run may end nearer to it."""


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write `round-0007.safetensors`, complete or not at all.

    Raises RunError where the disk does not take it; the checkpoints before it stay.
    """
    tensors = {
        f"{part}/{key}": value
        for part in _PARTS
        for key, value in getattr(checkpoint, part).items()
    }
    path = _path(folder, checkpoint.round)
    try:
        write_atomically(path, lambda temporary: save_file(tensors, temporary))
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"The checkpoint of round {checkpoint.round} cannot be written to {folder} ({error}). "
            "The rounds before it are safe: make room there and continue with --resume."
        ) from error


def load_checkpoint(folder: Path, round_number: int) -> Checkpoint | None:
    """The checkpoint of that round, None where it is missing or damaged.

    Raises RunError where it cannot be read at this moment: it may be whole.
    """
    path = _path(folder, round_number)
    try:
        if not path.is_file():
            return None
        # First as any file: safetensors calls it missing, whatever keeps it from being opened.
        with path.open("rb") as file:
            file.read(1)
        tensors = _read(path)
    except SafetensorError:
        return None
    except OSError as error:
        raise RunError(
            f"The checkpoint {path} cannot be read ({error.strerror or error}). It may be "
            "whole, so nothing was changed: check its permissions, and continue with --resume."
        ) from error
    return Checkpoint(round_number, **{part: _part(tensors, part) for part in _PARTS})


def checkpoint_rounds(folder: Path) -> list[int]:
    """Rounds of which there is a checkpoint, ascending."""
    matches = (_NAME.fullmatch(path.name) for path in folder.glob("round-*.safetensors"))
    return sorted(int(match[1]) for match in matches if match)


def prune_checkpoints(folder: Path, keep: set[int]) -> None:
    """Remove the checkpoints of all other rounds."""
    for round_number in checkpoint_rounds(folder):
        if round_number not in keep:
            _path(folder, round_number).unlink(missing_ok=True)


def _path(folder: Path, round_number: int) -> Path:
    return folder / f"round-{round_number:04d}.safetensors"


def _read(path: Path) -> Arrays:
    with safe_open(path, framework="numpy") as file:
        tensors: dict[str, NDArray[np.float32]] = {
            key: file.get_tensor(key)
            for key in file.keys()  # noqa: SIM118 (not a mapping)
        }
    return tensors


def _part(tensors: Arrays, prefix: str) -> Arrays:
    return {
        key.removeprefix(f"{prefix}/"): value
        for key, value in tensors.items()
        if key.startswith(f"{prefix}/")
    }
