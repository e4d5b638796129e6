from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from client.handlers.evaluate import evaluate_on_site
from client.train.trainer import train_round
from server.run.ledger import RoundRecord, read_rounds
from shared.errors import ConfigError, RunError, SiteError
from shared.run.events import Event, ReplyReceived, RoundRetried, Warned, listening
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan

MakeConfig = Callable[..., RunConfig]
Simulate = Callable[[RunConfig], dict[str, Any]]
Spoil = Callable[[Any, str, Plan], None]
ALL = ["east", "north", "south"]


@pytest.fixture
def spoil_training(monkeypatch: pytest.MonkeyPatch) -> Callable[[Spoil], None]:
    """Let a function of model, site and plan happen after every training."""

    def install(spoil: Spoil) -> None:
        def trained(model: Any, samples: Any, plan: Plan, config: Any, **named: Any) -> Any:
            result = train_round(model, samples, plan, config, **named)
            spoil(model, named["stream"], plan)
            return result

        monkeypatch.setattr("client.handlers.train.train_round", trained)

    return install


def fails(site: str, rounds: set[int]) -> Spoil:
    def spoil(_: Any, stream: str, plan: Plan) -> None:
        if stream == site and plan.round in rounds:
            raise OSError(errno.EIO, "Input/output error", "/data/ward-7/P0042.dcm")

    return spoil


def ledger(config: RunConfig) -> list[RoundRecord]:
    return read_rounds(Path(config.out) / "ledger.jsonl")


def test_a_round_closes_without_a_site_that_fails_and_goes_on_with_it(
    federated: MakeConfig, simulate: Simulate, spoil_training: Callable[[Spoil], None]
) -> None:
    spoil_training(fails("east", {2}))
    config = federated()
    events: list[Event] = []
    with listening(events.append):
        summary = simulate(config)
    first, second, third, fourth = ledger(config)
    reason = "its disk or a folder of it fails (Input/output error); the site's own log says which"
    assert second.refused == {"east": reason}
    assert list(second.sites) == ["north", "south"]
    assert ReplyReceived("east", reason) in events
    for record in (first, third, fourth):
        assert list(record.sites) == ALL
        assert record.refused == {}
    # Round 2 was the first of fine-tuning: the others go on from it, this one begins there.
    assert [third.sites[name].continued_from for name in ALL] == [0, 2, 2]
    assert summary["sites"] == ALL
    assert "ward" not in (Path(config.out) / "ledger.jsonl").read_text()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_update_that_is_not_finite_is_refused_and_named(
    federated: MakeConfig, simulate: Simulate, spoil_training: Callable[[Spoil], None], value: float
) -> None:
    def spoil(model: Any, stream: str, plan: Plan) -> None:
        if stream == "south" and plan.round == 3:
            with torch.no_grad():
                model.layer4[0].conv1.weight[3, 2, 1, 0] = value

    spoil_training(spoil)
    config = federated()
    simulate(config)
    problems = [record.refused for record in ledger(config)]
    assert list(problems[2]) == ["south"]
    assert problems[2]["south"].startswith("its weights are no longer finite")
    # What is no number is not remembered either: the site's next round goes on from its second.
    assert ledger(config)[3].sites["south"].continued_from == 2
    assert problems[:2] + problems[3:] == [{}, {}, {}]


def test_too_few_replies_are_asked_for_again(
    federated: MakeConfig, simulate: Simulate, spoil_training: Callable[[Spoil], None]
) -> None:
    calls: list[int] = []

    def spoil(_: Any, stream: str, plan: Plan) -> None:
        if stream == "east" and plan.round == 2:
            calls.append(plan.round)
            if len(calls) < 3:
                raise RuntimeError

    spoil_training(spoil)
    config = federated("retried", min_sites=3, retries=2)
    events: list[Event] = []
    with listening(events.append):
        simulate(config)
    assert [record.attempts for record in ledger(config)] == [1, 3, 1, 1]
    assert [event for event in events if isinstance(event, RoundRetried)] == [
        RoundRetried(2, 2, 3, 1), RoundRetried(2, 2, 3, 2),
    ]  # fmt: skip
    # The sites that had answered trained again from the same state, so nothing is different.
    calm = federated("calm", min_sites=3)
    simulate(calm)
    retried, model = (Path(c.out) / "model.safetensors" for c in (config, calm))
    assert retried.read_bytes() == model.read_bytes()


def test_a_run_with_too_few_replies_stops_and_can_be_resumed(
    federated: MakeConfig, simulate: Simulate, spoil_training: Callable[[Spoil], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    whole, config = federated("whole"), federated("stopped", min_sites=3, retries=1)
    simulate(whole)
    spoil_training(fails("east", {3}))
    with pytest.raises(RunError) as caught:
        simulate(config)
    assert str(caught.value) == (
        "Round 3 was asked 2 times and had 2 usable replies of at least 3 (min-sites). east: its "
        "disk or a folder of it fails (Input/output error); the site's own log says which. The "
        "rounds before it are kept: fix this and continue with --resume."
    )
    assert [record.round for record in ledger(config)] == [1, 2]
    monkeypatch.undo()
    simulate(replace(config, resume=True, min_sites=2))
    models = [(Path(c.out) / "model.safetensors").read_bytes() for c in (whole, config)]
    assert models[0] == models[1]


def test_a_site_that_cannot_evaluate_the_final_model_is_named(
    federated: MakeConfig, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(workspace: Any, *given: Any) -> Any:
        if workspace.name == "north":
            raise SiteError("/data/north is gone.")
        return evaluate_on_site(workspace, *given)

    monkeypatch.setattr("client.app.evaluate_on_site", failing)
    config = federated(rounds=1, retries=1)
    events: list[Event] = []
    with listening(events.append):
        summary = simulate(config)
    why = "its folder needs attention: `fedthaw site check` there says what"
    assert summary["missing"] == {"north": why}
    assert summary["sites"] == ["east", "south"]
    assert Warned(f"north is not in the final evaluation: {why}.") in events
    strict = federated("strict", rounds=1, min_sites=3)
    with pytest.raises(RunError, match=r"2 of at least 3 sites evaluated.*north: its folder needs"):
        simulate(strict)
    monkeypatch.undo()
    assert simulate(replace(strict, resume=True))["sites"] == ALL


def test_a_slow_machine_loses_no_site_of_a_simulation(
    federated: MakeConfig, simulate: Simulate, spoil_training: Callable[[Spoil], None]
) -> None:
    """Sites take turns, so together they may take longer than a round; that is nobody's fault."""
    spoil_training(lambda model, stream, plan: time.sleep(0.6))
    config = federated(rounds=1, probe_rounds=0, round_timeout=1)
    simulate(config)
    (record,) = ledger(config)
    assert record.refused == {}
    assert record.seconds > 1.8


def test_a_simulation_does_not_wait_for_sites_that_it_has_not(
    federated: MakeConfig, simulate: Simulate
) -> None:
    config = federated(min_sites=4)
    with pytest.raises(ConfigError, match=r"min-sites is 4, but this simulation has only 3"):
        simulate(config)
    assert not Path(config.out).exists()
    with pytest.raises(ConfigError, match=r"min-sites is 2, but this simulation has only 1"):
        simulate(federated(pooled=True))


def test_sites_of_another_base_are_refused_before_the_first_round(
    tmp_path: Path, write_site: Callable[..., Path], write_base: Callable[..., Path],
    federated: MakeConfig, simulate: Simulate,
) -> None:  # fmt: skip
    other = write_base(tmp_path / "other.safetensors", seed=3)
    sites = [
        write_site(tmp_path, "north", 8),
        write_site(tmp_path, "east", 8, more=f'weights = "{other}"'),
    ]
    with pytest.raises(SiteError, match="Site east holds another pretrained base"):
        simulate(federated(sites=sites))


def test_a_full_disk_at_the_coordinator_keeps_the_rounds_before(
    federated: MakeConfig, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    config = federated(rounds=1)
    monkeypatch.setattr("server.export.model_file.save_file", full)
    with pytest.raises(RunError, match=r"final model cannot be written.*make room.*--resume"):
        simulate(config)
    monkeypatch.undo()
    assert simulate(replace(config, resume=True))["rounds"] == 2
