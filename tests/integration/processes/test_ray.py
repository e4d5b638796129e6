"""Flower's own engine computes the same, fails in the same words, and leaves nothing behind."""

from __future__ import annotations

import importlib.util
import secrets
import signal
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed"),
]
RAY = ("--backend", "ray")
MANY = 24
"""Rounds enough that the run cannot end between two looks at it."""


def test_the_same_model_as_in_this_process_whichever_began(
    tmp_path: Path, kept_sites: Any, tiny: Any, fedthaw: Any, wait_until: Any,
    outcome_of_signal: Any, model_of: Any, undisturbed: Any,
) -> None:  # fmt: skip
    run, continued = tmp_path / "run", tmp_path / "continued"
    outcome = fedthaw.run(*tiny(*kept_sites, out=run), *RAY)
    assert outcome.code == 0
    said = [line.split(":")[0] for line in outcome.err.splitlines()]
    assert [line for line in said if line.startswith("Round ")] == [
        f"Round {number}/4" for number in range(1, 5)
    ]
    assert f"Run folder: {run}" in outcome.out
    assert model_of(run) == undisturbed()

    seen = tmp_path / "seen"
    faults = {"site": "north", "round": 3, "act": "wait", "seen": seen}
    process = fedthaw.start(*tiny(*kept_sites, out=continued), faults=faults)
    wait_until(seen.exists, process)
    outcome_of_signal(process, signal.SIGKILL)
    resumed = fedthaw.run(*tiny(*kept_sites, out=continued), *RAY, "--resume")
    assert resumed.code == 0
    assert "continues after round 2: 4 rounds" in resumed.err
    assert model_of(continued) == undisturbed()


def test_a_bad_site_ends_in_the_same_sentence(
    tmp_path: Path, two_sites: Any, tiny: Any, fedthaw: Any, here: Any
) -> None:
    (two_sites[0] / "site.toml").unlink()
    in_process = here(*tiny(*two_sites, out=tmp_path / "here"))
    on_ray = fedthaw.run(*tiny(*two_sites, out=tmp_path / "ray"), *RAY)
    assert in_process.code == 2
    assert (on_ray.code, on_ray.out) == (2, "")
    assert on_ray.err == in_process.err
    assert on_ray.err == (
        f"fedthaw: {two_sites[0]}/site.toml is missing; `fedthaw site new` proposes one from a "
        "table of outcomes.\n"
    )


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL], ids=lambda kind: kind.name)
def test_no_process_is_left_and_the_run_goes_on_in_this_process(
    tmp_path: Path, kept_sites: Any, tiny: Any, fedthaw: Any, here: Any, wait_until: Any,
    rounds_in: Any, processes_with: Any, outcome_of_signal: Any, model_of: Any, undisturbed: Any,
    kind: signal.Signals,
) -> None:  # fmt: skip
    run, mark = tmp_path / "run", f"MARK={secrets.token_hex(8)}"
    words = tiny(*kept_sites, out=run, rounds=MANY)
    process = fedthaw.start(*words, *RAY, MARK=mark[5:])
    wait_until(lambda: rounds_in(run) >= 2, process)
    # Besides the command itself: its guard, SuperLink, SuperExec, simulation, Ray and its actors.
    assert len(processes_with(mark)) > 6
    outcome_of_signal(process, kind)
    if kind is signal.SIGKILL:
        wait_until(lambda: not processes_with(mark))
    assert processes_with(mark) == []
    assert here(*words, "--resume").code == 0
    assert model_of(run) == undisturbed(MANY)
