"""A run that is interrupted or killed, at any moment, and resumed: the same model bit for bit."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

MANY = 24
"""Rounds enough that the run cannot end between two looks at it."""

KILLS = 4

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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "kind"),
    [
        pytest.param(moment, kind, id=f"{moment}, {kind.name}")
        for moment in MOMENTS
        for kind in (KILLED, INTERRUPTED, TERMINATED)
        if kind is not TERMINATED or moment in TERMINATED_AT
    ],
)
def test_ended_at_a_certain_moment(
    tmp_path: Path, kept_sites: Any, tiny: Any, fedthaw: Any, here: Any, wait_until: Any,
    outcome_of_signal: Any, model_of: Any, undisturbed: Any, moment: str, kind: signal.Signals,
) -> None:  # fmt: skip
    run, seen = tmp_path / "run", tmp_path / "seen"
    process = fedthaw.start(*tiny(*kept_sites, out=run), faults=MOMENTS[moment] | {"seen": seen})
    wait_until(seen.exists, process)
    outcome_of_signal(process, kind)
    assert not (run / "summary.json").exists()
    resumed = here(*tiny(*kept_sites, out=run), "--resume")
    assert resumed.code == 0
    assert ("begins: 4 rounds" in resumed.err) == (moment == "before it begins")
    assert model_of(run) == undisturbed()
    assert not list(run.glob(".*.tmp"))


def test_killed_right_after_its_start(
    tmp_path: Path, kept_sites: Any, tiny: Any, fedthaw: Any, here: Any, wait_until: Any,
    outcome_of_signal: Any, model_of: Any, undisturbed: Any,
) -> None:  # fmt: skip
    """While it still imports its libraries; what it was to do is then known to its caller alone."""
    run = tmp_path / "run"
    process = fedthaw.start(*tiny(*kept_sites, out=run))
    wait_until((run / ".lock").exists, process)
    outcome_of_signal(process, KILLED)
    nothing = here("simulate", "--out", run, "--resume")
    assert (nothing.code, nothing.err) == (
        2,
        f"fedthaw: The run in {run} ended before it began, so there is nothing to continue; start "
        "it again as before.\n",
    )
    assert here(*tiny(*kept_sites, out=run), "--resume").code == 0
    assert model_of(run) == undisturbed()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [KILLED, INTERRUPTED, TERMINATED], ids=lambda kind: kind.name)
def test_ended_between_rounds(
    tmp_path: Path, kept_sites: Any, tiny: Any, fedthaw: Any, wait_until: Any,
    rounds_in: Any, outcome_of_signal: Any, model_of: Any, undisturbed: Any, kind: signal.Signals,
) -> None:  # fmt: skip
    run = tmp_path / "run"
    process = fedthaw.start(*tiny(*kept_sites, out=run, rounds=MANY))
    wait_until(lambda: rounds_in(run) >= 2, process)
    outcome_of_signal(process, kind)
    # In a process of its own again, and with nothing but the folder.
    assert fedthaw.run("simulate", "--out", run, "--resume").code == 0
    assert model_of(run) == undisturbed(MANY)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_again_and_again(
    tmp_path: Path, kept_sites: Any, tiny: Any, fedthaw: Any, wait_until: Any,
    rounds_in: Any, outcome_of_signal: Any, model_of: Any, undisturbed: Any,
) -> None:  # fmt: skip
    """As soon as it has got a round done."""
    run = tmp_path / "run"
    words = tiny(*kept_sites, out=run, rounds=MANY)
    process = fedthaw.start(*words)
    for _ in range(KILLS):
        done = rounds_in(run)
        wait_until(lambda done=done: rounds_in(run) > done, process)
        outcome_of_signal(process, KILLED)
        process = fedthaw.start(*words, "--resume")
    assert fedthaw.end(process).code == 0
    assert model_of(run) == undisturbed(MANY)


def test_two_processes_do_not_work_on_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_sites: Any, tiny: Any, fedthaw: Any,
    here: Any, wait_until: Any,
) -> None:  # fmt: skip
    monkeypatch.setattr("server.run.folder.PATIENCE_SECONDS", 0.5)
    run, seen = tmp_path / "run", tmp_path / "seen"
    process = fedthaw.start(
        *tiny(*kept_sites, out=run),
        faults={"site": "north", "round": 1, "act": "wait", "seen": seen},
    )
    wait_until(seen.exists, process)
    second = here(*tiny(*kept_sites, out=run), "--resume")
    assert (second.code, second.err) == (
        1,
        f"fedthaw: Another process is working on the run in {run}; wait for it or stop it.\n",
    )
    assert process.poll() is None
