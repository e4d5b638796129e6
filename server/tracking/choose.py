"""Which recorders a run has, and when they are called."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from server.tracking.mlflow import URI_VARIABLE, mlflow_recorder
from server.tracking.recorder import Opening, Outcome, Recording
from server.tracking.tensorboard import tensorboard_recorder
from shared.errors import ConfigError, RunError
from shared.run.events import Event, RoundFinished, RunStarted, Warned, emit, listening
from shared.settings.config import RunConfig


def require_packages(config: RunConfig) -> None:
    """ConfigError where a setting asks for a recorder whose package is not installed."""
    if config.tensorboard and find_spec("tensorboard") is None:
        raise ConfigError(
            "tensorboard is set, but the package tensorboard is not installed here: "
            "pip install 'fedthaw[tensorboard]', or leave it out."
        )


@contextmanager
def recorded(config: RunConfig) -> Iterator[None]:
    """Report to the recorders of this run what happens in the block, from its first round on."""
    recordings: list[Recording] = []
    folder = Path()

    def hear(event: Event) -> None:
        nonlocal folder
        match event:
            case RunStarted():
                folder = Path(event.folder)
                for name, opening in _openings(config, folder).items():
                    recordings.append(Recording(name, opening, folder / "ledger.jsonl"))
            case RoundFinished():
                for recording in recordings:
                    recording.wake()

    outcome = Outcome("interrupted")
    try:
        with listening(hear):
            yield
        outcome = Outcome("complete", _summary(folder))
    except Exception:
        outcome = Outcome("failed")
        raise
    finally:
        for recording in recordings:
            recording.end(outcome)


def _summary(folder: Path) -> dict[str, Any] | None:
    from server.run.summary import read_summary  # it brings NumPy, which --help does without

    try:
        return read_summary(folder / "summary.json")
    except RunError:
        return None


def _openings(config: RunConfig, folder: Path) -> dict[str, Opening]:
    """Name -> how to begin, of each recorder that is wanted and can be had."""
    found: dict[str, Opening] = {}
    if config.tensorboard:
        found["TensorBoard"] = partial(tensorboard_recorder, folder)
    if os.environ.get(URI_VARIABLE):
        if find_spec("mlflow") is None:
            emit(
                Warned(
                    f"{URI_VARIABLE} is set, but MLflow's client is not installed here, so "
                    "nothing goes there: pip install 'fedthaw[mlflow]'."
                )
            )
        else:
            found["MLflow"] = partial(mlflow_recorder, folder)
    return found
