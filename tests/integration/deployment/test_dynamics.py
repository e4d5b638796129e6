"""schedule=dynamics between processes: the coordinator decides, the sites hold it to the budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def test_a_run_that_is_killed_decides_as_one_that_is_not(
    deploy: Callable[..., Any], undisturbed: Callable[..., str]
) -> None:
    """Units freeze and thaw again with a kill -9 between, as in a simulation."""
    settings = {
        "schedule": "dynamics", "select": "round-robin", "freeze-rate": 0.5, "rounds": 5,
        "round-budget": 0.9,
    }  # fmt: skip
    deployment = deploy()
    deployment.serve()
    gate = deployment.gate(deployment.sites[0], 5)
    deployment.clients(gate)
    submitted = deployment.submit(**settings)
    deployment.wait(lambda: gate.holds(5), submitted)
    deployment.kill_run()
    gate.open(5)
    deployment.finish(submitted)
    rounds = deployment.rounds()
    assert [sorted(one["sites"]) for one in rounds] == [["east", "north"]] * 6
    assert all(one["refused"] == {} for one in rounds)
    trained = [set(one["plan"]["trainable"]) - {"head"} for one in rounds]
    assert [len(units) for units in trained] == [0, 2, 2, 2, 2, 2]
    assert not trained[1] & trained[2]
    assert any(trained[1] & later for later in trained[3:])  # thawed, frozen, thawed again
    assert all(one["signals"]["units"].keys() > {"head"} for one in rounds[1:])
    assert deployment.model() == undisturbed(**settings)
