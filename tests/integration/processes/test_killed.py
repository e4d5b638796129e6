"""A run that is interrupted or killed, at any moment, and resumed: the same model bit for bit."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.terminal import cli

MANY = 24
"""Rounds enough that the run cannot end between two looks at it."""

MOMENTS: dict[str, dict[str, object]] = {
    "before it begins": {"stall": "config.json"},
    "in a round": {"site": "north", "round": 3, "act": "wait"},
    "at a site's memory": {"stall": "0003.safetensors"},
    "at a checkpoint": {"stall": "round-0003.safetensors"},
    "in the final evaluation": {"final": True},
    "at the final model": {"stall": "model.safetensors"},
    "before the summary": {"stall": "summary.json"},
}
KILLED, INTERRUPTED, TERMINATED = signal.SIGKILL, signal.SIGINT, signal.SIGTERM
TERMINATED_AT = ("in a round", "at a checkpoint", "before the summary")
"""Enough, since it does what Ctrl-C does."""
QUICK = {("in a round", INTERRUPTED), ("at a checkpoint", KILLED), ("in a round", TERMINATED)}


@pytest.fixture(scope="module")
def sites(
    tmp_path_factory: pytest.TempPathFactory, write_site: Callable[..., Path]
) -> tuple[Path, Path]:
    """Folders of two sites that no test changes."""
    parent = tmp_path_factory.mktemp("sites")
    return write_site(parent, "north", 12, seed=1), write_site(parent, "east", 12, seed=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, sites: Any, tiny: Any, model_of: Any) -> str:
    """The model of the run that nothing has disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert cli.run(cli.app, tiny(*sites, out=run)) == 0
    digest: str = model_of(run)
    return digest


@pytest.mark.parametrize(
    ("moment", "kind"),
    [
        pytest.param(
            moment,
            kind,
            marks=[] if (moment, kind) in QUICK else pytest.mark.slow,
            id=f"{moment}, {kind.name}",
        )
        for moment in MOMENTS
        for kind in (KILLED, INTERRUPTED, TERMINATED)
        if kind is not TERMINATED or moment in TERMINATED_AT
    ],
)
def test_ended_at_a_certain_moment(
    tmp_path: Path, sites: Any, tiny: Any, fedthaw: Any, here: Any, wait_until: Any,
    outcome_of_signal: Any, model_of: Any, whole: str, moment: str, kind: signal.Signals,
) -> None:  # fmt: skip
    run, seen = tmp_path / "run", tmp_path / "seen"
    process = fedthaw.start(*tiny(*sites, out=run), faults=MOMENTS[moment] | {"seen": seen})
    wait_until(seen.exists, process)
    outcome_of_signal(process, kind)
    assert not (run / "summary.json").exists()
    resumed = here(*tiny(*sites, out=run), "--resume")
    assert resumed.code == 0
    assert ("begins: 4 rounds" in resumed.err) == (moment == "before it begins")
    assert model_of(run) == whole
    assert not list(run.glob(".*.tmp"))


def test_killed_right_after_its_start(
    tmp_path: Path, sites: Any, tiny: Any, fedthaw: Any, here: Any, wait_until: Any,
    outcome_of_signal: Any, model_of: Any, whole: str,
) -> None:  # fmt: skip
    """While it still imports its libraries; what it was to do is then known to its caller alone."""
    run = tmp_path / "run"
    process = fedthaw.start(*tiny(*sites, out=run))
    wait_until((run / ".lock").exists, process)
    outcome_of_signal(process, KILLED)
    nothing = here("simulate", "--out", run, "--resume")
    assert (nothing.code, nothing.err) == (
        2,
        f"fedthaw: The run in {run} ended before it began, so there is nothing to continue; start "
        "it again as before.\n",
    )
    assert here(*tiny(*sites, out=run), "--resume").code == 0
    assert model_of(run) == whole


@pytest.mark.slow
@pytest.mark.parametrize("kind", [KILLED, INTERRUPTED, TERMINATED], ids=lambda kind: kind.name)
def test_ended_between_rounds(
    tmp_path: Path, sites: Any, tiny: Any, fedthaw: Any, here: Any, wait_until: Any,
    rounds_in: Any, outcome_of_signal: Any, model_of: Any, kind: signal.Signals,
) -> None:  # fmt: skip
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert here(*tiny(*sites, out=whole, rounds=MANY)).code == 0
    process = fedthaw.start(*tiny(*sites, out=run, rounds=MANY))
    wait_until(lambda: rounds_in(run) >= 2, process)
    outcome_of_signal(process, kind)
    # In a process of its own again, and with nothing but the folder.
    assert fedthaw.run("simulate", "--out", run, "--resume").code == 0
    assert model_of(run) == model_of(whole)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_again_and_again(
    tmp_path: Path, sites: Any, tiny: Any, fedthaw: Any, here: Any, wait_until: Any,
    rounds_in: Any, outcome_of_signal: Any, model_of: Any,
) -> None:  # fmt: skip
    """As soon as it has got a round done."""
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert here(*tiny(*sites, out=whole, rounds=MANY)).code == 0
    process = fedthaw.start(*tiny(*sites, out=run, rounds=MANY))
    kills = 0
    while (done := rounds_in(run)) < MANY // 2:
        wait_until(lambda done=done: rounds_in(run) > done, process)
        outcome_of_signal(process, KILLED)
        kills += 1
        process = fedthaw.start(*tiny(*sites, out=run, rounds=MANY), "--resume")
    assert fedthaw.end(process).code == 0
    assert kills > 2
    assert model_of(run) == model_of(whole)


def test_two_processes_do_not_work_on_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sites: Any, tiny: Any, fedthaw: Any,
    here: Any, wait_until: Any,
) -> None:  # fmt: skip
    monkeypatch.setattr("server.run.folder.PATIENCE_SECONDS", 0.5)
    run, seen = tmp_path / "run", tmp_path / "seen"
    process = fedthaw.start(
        *tiny(*sites, out=run),
        faults={"site": "north", "round": 1, "act": "wait", "seen": seen},
    )
    wait_until(seen.exists, process)
    second = here(*tiny(*sites, out=run), "--resume")
    assert (second.code, second.err) == (
        1,
        f"fedthaw: Another process is working on the run in {run}; wait for it or stop it.\n",
    )
    assert process.poll() is None
