"""Which recorders a run has, and what it says where one cannot be had."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from server.run.folder import RunFolder
from server.run.ledger import RoundRecord
from server.tracking import choose
from server.tracking.choose import recorded, require_packages
from server.tracking.recorder import Outcome, Recorder
from shared.errors import ConfigError, RunError
from shared.run.events import Event, RoundFinished, RunStarted, Warned, emit, listening
from shared.settings.config import RunConfig

Grow = Callable[[Iterable[int]], list[RoundRecord]]
FINISHED = RoundFinished(1, 2, 0.5, None, 10, 1.0)


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a recorder in TensorBoard's place is told."""
    heard: list[Any] = []

    @contextmanager
    def opened(folder: Path) -> Iterator[Recorder]:
        yield Recorder(lambda record: heard.append(record.round), heard.append)

    monkeypatch.setattr(choose, "tensorboard_recorder", opened)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return heard


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """As if a package were not installed."""

    def hide(package: str) -> None:
        monkeypatch.setattr(
            choose, "find_spec", lambda name: None if name == package else find_spec(name)
        )

    return hide


def started(run: RunFolder) -> RunStarted:
    return RunStarted("r1", ("north",), 2, 0, str(run.path))


def test_a_run_from_its_first_round_to_its_summary(
    run: RunFolder, grow: Grow, received: list[Any]
) -> None:
    with recorded(replace(run.config, tensorboard=True)):
        grow([1])
        emit(started(run))
        emit(FINISHED)
        grow([2])
        emit(FINISHED)
        run.summary.write_text('{"rounds": 2}', encoding="utf-8")
    assert received == [1, 2, Outcome("complete", {"rounds": 2})]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (RunError("x"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(1), "interrupted"),
    ],
)
def test_a_run_that_ends_early(
    run: RunFolder, received: list[Any], error: BaseException, state: str
) -> None:
    with pytest.raises(type(error)), recorded(replace(run.config, tensorboard=True)):  # noqa: PT012
        emit(started(run))
        raise error
    assert [outcome.state for outcome in received] == [state]


def test_a_run_that_nobody_wants_recorded(run: RunFolder, received: list[Any]) -> None:
    with recorded(run.config):
        emit(started(run))
    assert received == []


def test_a_run_that_never_began(run: RunFolder, received: list[Any]) -> None:
    with suppress(RunError), recorded(replace(run.config, tensorboard=True)):
        raise RunError("x")
    assert received == []


def test_without_tensorboard_a_run_that_asks_for_it_does_not_begin(
    without: Callable[[str], None],
) -> None:
    require_packages(RunConfig(tensorboard=True))
    without("tensorboard")
    require_packages(RunConfig())
    with pytest.raises(ConfigError, match=r"pip install 'fedthaw\[tensorboard\]'"):
        require_packages(RunConfig(tensorboard=True))


def test_without_mlflow_the_run_goes_on(
    run: RunFolder, received: list[Any], without: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://hub:5000")
    without("mlflow")
    events: list[Event] = []
    with listening(events.append), recorded(replace(run.config, tensorboard=True)):
        emit(started(run))
    (said,) = [event for event in events if isinstance(event, Warned)]
    assert "pip install 'fedthaw[mlflow]'" in said.text
    assert len(received) == 1


def test_a_server_that_is_not_there_is_told_once(
    run: RunFolder, grow: Grow, received: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens on the port; MLflow's own client says so."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    events: list[Event] = []
    with listening(events.append), recorded(run.config):
        grow([1])
        emit(started(run))
        emit(FINISHED)
    (said,) = [event for event in events if isinstance(event, Warned)]
    assert said.text.startswith("MLflow is off for the rest of this run: ")


@pytest.mark.slow
def test_the_coordinator_imports_neither_before_it_is_wanted() -> None:
    program = (
        "import sys\nimport server.app, server.cli.simulate, server.cli.submit, server.cli.run\n"
        "assert not {'mlflow', 'tensorboard'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
