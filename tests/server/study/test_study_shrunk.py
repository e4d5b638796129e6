"""A study at a coordinator that is made smaller before its runs are trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from server.link.folder.journal import Event
from server.link.jobs.orders import read_orders
from server.run.process import STOP
from shared.audit.log import read

Here = Callable[..., tuple[int, str, str]]
KEPT = ["s-first-r0-f0", "s-full-r0-f0", "s-first-r0-f1", "s-full-r0-f1", "s"]
MORE = [name.replace("r0", "r1") for name in KEPT[:-1]]


@pytest.fixture(autouse=True)
def _nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("server.cli.study_deployed.time", SimpleNamespace(sleep=leave))


def to_be_trained(runs: Path) -> set[str]:
    """Orders that the server process would take up, or goes on with."""
    return {
        one.name
        for one in read_orders(runs)
        if one.state == "waiting" and not (one.folder / STOP).exists()
    }


def test_runs_that_it_no_longer_has_are_stopped(
    command: list[object], here: Here, tmp_path: Path
) -> None:
    """They were submitted before what is left, and would be trained first."""
    runs = tmp_path / "coordinator" / "runs"
    assert here(*command, "--name", "s", "--repeats", 2)[0] == 130
    assert to_be_trained(runs) == {*KEPT, *MORE}
    code, _, stderr = here(*command, "--name", "s")
    assert code == 130
    assert "Runs that s no longer has, stopped: 4." in stderr
    assert to_be_trained(runs) == set(KEPT)
    entries = read(tmp_path / "coordinator" / "audit.jsonl")
    assert sorted(one["name"] for one in entries if one["event"] == Event.stop) == sorted(MORE)
    assert "stopped" not in here(*command, "--name", "s")[2]
    # Grown again it has them again.
    assert here(*command, "--name", "s", "--repeats", 2)[0] == 130
    assert to_be_trained(runs) == {*KEPT, *MORE}


def test_what_is_refused_or_trained_already_stops_nothing(
    command: list[object], here: Here, tmp_path: Path
) -> None:
    runs = tmp_path / "coordinator" / "runs"
    assert here(*command, "--name", "s", "--repeats", 2)[0] == 130
    code, *_ = here(*command, "--name", "s", "--set", "rounds=3")
    assert code == 2
    assert to_be_trained(runs) == {*KEPT, *MORE}
    (runs / MORE[0] / "summary.json").write_text("{}")
    assert "s no longer has, stopped: 3." in here(*command, "--name", "s")[2]
    assert not (runs / MORE[0] / STOP).exists()
