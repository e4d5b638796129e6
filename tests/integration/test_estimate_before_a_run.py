"""What is said before the first round, beside what the run then took."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.simulation.grid import InProcessGrid
from server.training.estimate import estimate_in_words
from shared.run.events import Event, Noted, RoundFinished, listening
from shared.settings.config import RunConfig

MakeConfig = Callable[..., RunConfig]
Simulate = Callable[[RunConfig], dict[str, Any]]

pytestmark = pytest.mark.usefixtures("measured")


def heard(simulate: Simulate, config: RunConfig) -> tuple[dict[str, Any], list[Event]]:
    events: list[Event] = []
    with listening(events.append):
        return simulate(config), events


@pytest.mark.parametrize(
    ("settings", "within"),
    [
        ({"update_dtype": "float32"}, 0.03),
        ({"update_dtype": "float16"}, 0.04),
        ({"update_dtype": "int8"}, 0.2),
        # So small that a sixth of its bytes is beside the weights.
        ({"backbone": "tiny", "weights": "random"}, 0.06),
        # Which units of a budget train is decided as the run goes.
        ({"schedule": "dynamics", "freeze_rate": 0.5, "round_budget": 0.3, "rounds": 5}, 0.7),
    ],
)
def test_the_bytes_are_those_of_the_run(
    federated: MakeConfig, simulate: Simulate, settings: dict[str, Any], within: float
) -> None:
    summary, events = heard(simulate, federated(**settings))
    (said,) = [e.text for e in events if isinstance(e, Noted) and e.text.startswith("Estimate")]
    found = re.search(r"and ([0-9.]+) MB of weights will be transferred", said)
    assert found
    moved = (summary["bytes"]["down"] + summary["bytes"]["up"]) / 1e6
    assert float(found[1]) == pytest.approx(moved, rel=within)


def test_the_time_left_falls_to_the_final_evaluation(
    federated: MakeConfig, simulate: Simulate
) -> None:
    _, events = heard(simulate, federated())
    left = [event.seconds_left for event in events if isinstance(event, RoundFinished)]
    assert len(left) == 4
    assert all(seconds is not None and seconds > 0 for seconds in left)


def test_the_estimate_changes_no_byte(
    federated: MakeConfig, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = federated("first"), federated("second")
    simulate(first)
    monkeypatch.setattr(InProcessGrid, "expected_seconds", lambda *_: None)
    _, events = heard(simulate, second)
    models = [(Path(one.out) / "model.safetensors").read_bytes() for one in (first, second)]
    assert models[0] == models[1]
    assert any("depends on the sites' machines" in getattr(e, "text", "") for e in events)


def test_a_site_that_cannot_be_measured_does_not_end_the_run(
    federated: MakeConfig, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk")

    monkeypatch.setattr("client.estimate.expected_seconds", broken)
    assert simulate(federated())["rounds"] == 4


def test_the_sentence() -> None:
    said = estimate_in_words((60.0, 120.0, 5.0), 12_345_678, 2)
    assert said.startswith("Estimate: about 3 min for 2 rounds, and 12 MB of weights will be")
    assert "time depends on the sites' machines" in estimate_in_words(None, 1.2e9, 2)
