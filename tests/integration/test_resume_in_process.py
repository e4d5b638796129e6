"""A run that is stopped wherever and continued gives the same bytes as one that is not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.results.shown import Shown
from server.run.checkpoint import Checkpoint, save_checkpoint
from server.run.ledger import RoundRecord, append_round, read_rounds
from shared.errors import ConfigError, SiteError, WeightsError
from shared.run.events import (
    Event,
    Noted,
    ReplyReceived,
    RoundFinished,
    RoundStarted,
    Warned,
    listening,
)
from shared.settings.config import RunConfig
from shared.settings.schedule import total_rounds

MakeConfig = Callable[..., RunConfig]
Simulate = Callable[[RunConfig], dict[str, Any]]
MODES: dict[str, dict[str, Any]] = {
    "fedavg": {},
    "fedadam": {"strategy": "fedadam"},
    "local": {"batch_norm": "local"},
    "int8": {"update_dtype": "int8", "end": "guarded", "average_share": 0.75},
    # Units freeze and thaw again by what the rounds before have shown, with every state there is.
    "dynamics": {
        "schedule": "dynamics",
        "select": "coherence",
        "freeze_rate": 0.5,
        "strategy": "fedadam",
        "update_dtype": "int8",
        "batch_norm": "local",
    },
    # Stages thaw, and the run ends, by what the rounds before have shown.
    "adaptive": {
        "schedule": "adaptive",
        "patience": 2,
        "probe_rounds": 4,
        "rounds": 12,
        "thaw_at": "layer4=0,layer3=0",
        "end": "guarded",
        "average_share": 1.0,
        "strategy": "fedadam",
        "update_dtype": "int8",
    },
    "logistic": {"schedule": "logistic"},
    "8 bits and low rank": {
        "update_dtype": "int8",
        "update_rank": 2,
        "update_steps": 1.0,
        "optimizer": "adamw8bit",
    },
}


class Stopped(Exception):
    """As if the process had been killed."""


@contextmanager
def stopping_after(round_number: int) -> Iterator[None]:
    """When the round is on disk."""

    def listener(event: Event) -> None:
        if isinstance(event, RoundFinished) and event.round == round_number:
            raise Stopped

    with listening(listener), pytest.raises(Stopped):
        yield


@contextmanager
def stopping_within(round_number: int) -> Iterator[None]:
    """When the first site of the round has answered, and so has trained already."""
    current = 0

    def listener(event: Event) -> None:
        nonlocal current
        if isinstance(event, RoundStarted):
            current = event.plan.round
        if isinstance(event, ReplyReceived) and current == round_number:
            raise Stopped

    with listening(listener), pytest.raises(Stopped):
        yield


@contextmanager
def stopping_before_the_ledger(round_number: int) -> Iterator[None]:
    """When the round's checkpoint is written and its line in the ledger is not."""

    def stop(path: Path, record: Shown[RoundRecord]) -> None:
        if record.value.round == round_number:
            raise Stopped
        append_round(path, record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.run.saving.append_round", stop)
        with pytest.raises(Stopped):
            yield


@contextmanager
def stopping_at_the_checkpoint(round_number: int) -> Iterator[None]:
    """When the round's checkpoint is being written and a site has trained in the next already."""
    trained_on, current, rounds = threading.Event(), 0, 0

    def listener(event: Event) -> None:
        nonlocal current, rounds
        if isinstance(event, RoundStarted):
            current, rounds = event.plan.round, event.rounds
        if isinstance(event, ReplyReceived) and current == round_number + 1:
            trained_on.set()
        if isinstance(event, Noted) and f"ends after round {round_number} " in event.text:
            trained_on.set()

    def stop(folder: Path, checkpoint: Checkpoint) -> None:
        if checkpoint.round == round_number:
            # After the last round nothing is asked before its checkpoint is there.
            assert round_number == rounds or trained_on.wait(60)
            raise Stopped
        save_checkpoint(folder, checkpoint)

    with pytest.MonkeyPatch.context() as patch, listening(listener):
        patch.setattr("server.run.saving.save_checkpoint", stop)
        with pytest.raises(Stopped):
            yield


def outcome(config: RunConfig) -> tuple[bytes, dict[str, Any], list[dict[str, Any]]]:
    """The model's bytes, the summary and the ledger, but for names and durations."""
    folder = Path(config.out)
    summary = json.loads((folder / "summary.json").read_text())
    kept = {key: summary[key] for key in ("pooled", "site", "rounds", "sites", "bytes", "base")}
    kept["end"] = summary.get("end")
    rounds = [
        {
            "round": record.round,
            "loss": record.loss,
            "validation": record.validation,
            "bytes": (record.bytes_down, record.bytes_up),
            "plan": record.plan,
            "signals": record.signals,
            "sites": {n: (s.loss, s.continued_from, s.metrics) for n, s in record.sites.items()},
        }
        for record in read_rounds(folder / "ledger.jsonl")
    ]
    return (folder / "model.safetensors").read_bytes(), kept, rounds


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    """By mode: what a run that is not stopped ends with. Each is run once."""
    return {}


WAYS = (stopping_after, stopping_within, stopping_before_the_ledger, stopping_at_the_checkpoint)


@pytest.mark.parametrize(
    ("mode", "shift"),
    [
        pytest.param(mode, shift, marks=[pytest.mark.slow] if shift else [])
        for mode in MODES
        for shift in (0, 2)
    ],
)
def test_a_run_stopped_in_every_round_gives_the_same_bytes(
    three_sites: tuple[Path, ...], federated: MakeConfig, simulate: Simulate, mode: str, shift: int,
    undisturbed: dict[str, Any],
) -> None:  # fmt: skip
    """Stages thaw in rounds 3, 4 and 5 of 6; with dynamics units pause and go on.

    Each round is stopped in another way than the one before: in two ways for one mode, and in the
    other two for the next mode.
    """
    settings: dict[str, Any] = {"probe_rounds": 2, "rounds": 4, "sites": three_sites[:2]}
    settings["augmentation"] = "recipe"
    settings |= MODES[mode]
    stopped = federated("stopped", **settings)
    if mode not in undisturbed:
        whole = federated("whole", **settings)
        simulate(whole)
        undisturbed[mode] = outcome(whole)
    ledger = undisturbed[mode][2]
    if mode == "adaptive":
        assert len(ledger) < total_rounds(stopped)
        assert ledger[-1]["plan"]["trainable"] == ["layer3", "layer4", "head"]
    for round_number in range(1, len(ledger) + 1):
        stopping = WAYS[(round_number + shift + list(MODES).index(mode)) % len(WAYS)]
        with stopping(round_number):
            simulate(stopped)
        stopped = replace(stopped, resume=True)
    simulate(stopped)
    assert outcome(stopped) == undisturbed[mode]


def test_a_run_stopped_in_its_final_evaluation_is_concluded(
    federated: MakeConfig, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = federated("whole", batch_norm="local")
    stopped = federated("stopped", batch_norm="local")
    simulate(whole)

    def stop(*_: object) -> None:
        raise Stopped

    monkeypatch.setattr("server.training.coordinate.write_summary", stop)
    for resume in (False, True):
        with pytest.raises(Stopped):
            simulate(replace(stopped, resume=resume))
    monkeypatch.undo()
    events: list[Event] = []
    with listening(events.append):
        simulate(replace(stopped, resume=True))
    assert not [event for event in events if isinstance(event, RoundStarted)]
    found, expected = outcome(stopped), outcome(whole)
    # Sites have forgotten the model after their final evaluation, so they are sent all of it.
    assert found[1].pop("bytes")["down"] > expected[1].pop("bytes")["down"]
    assert found == expected


def test_a_run_stopped_while_its_end_is_chosen_is_concluded(
    federated: MakeConfig, simulate: Simulate
) -> None:
    whole, stopped = federated("whole", end="guarded"), federated("stopped", end="guarded")
    simulate(whole)
    answers = 0

    def stop(event: Event) -> None:
        nonlocal answers
        answers += isinstance(event, ReplyReceived)
        if answers == 3 * total_rounds(stopped) + 2:
            raise Stopped

    with listening(stop), pytest.raises(Stopped):
        simulate(stopped)
    simulate(replace(stopped, resume=True))
    assert outcome(stopped) == outcome(whole)
    assert outcome(whole)[1]["end"]["sites"] == ["east", "north", "south"]


def test_a_finished_run_can_be_resumed_without_harm(
    federated: MakeConfig, simulate: Simulate
) -> None:
    config = federated()
    simulate(config)
    before = outcome(config)
    simulate(replace(config, resume=True))
    assert outcome(config) == before


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    federated: MakeConfig, simulate: Simulate
) -> None:
    whole, stopped = federated("whole"), federated("stopped")
    simulate(whole)
    with stopping_after(3):
        simulate(stopped)
    (Path(stopped.out) / "round-0003.safetensors").write_bytes(b"torn")
    events: list[Event] = []
    with listening(events.append):
        simulate(replace(stopped, resume=True))
    warnings = [event.text for event in events if isinstance(event, Warned)]
    assert any("round 2" in text and "damaged" in text for text in warnings)
    assert outcome(stopped) == outcome(whole)


def test_a_site_that_lost_its_memory_begins_afresh_and_says_so(
    tmp_path: Path, write_site: Callable[..., Path], federated: MakeConfig, simulate: Simulate
) -> None:
    sites = [write_site(tmp_path, name, 8, more='cache = "cache"') for name in "ab"]
    config = federated(sites=sites)
    with stopping_after(3):
        simulate(config)
    (memory,) = (tmp_path / "a" / "cache" / "rounds").glob("*/a")
    for state in memory.iterdir():
        state.unlink()
    simulate(replace(config, resume=True))
    last = read_rounds(Path(config.out) / "ledger.jsonl")[-1]
    assert {name: site.continued_from for name, site in last.sites.items()} == {"a": 0, "b": 3}


def test_other_settings_or_another_base_do_not_continue_a_run(
    tmp_path: Path, write_base: Callable[..., Path], federated: MakeConfig, simulate: Simulate
) -> None:
    base = write_base(tmp_path / "own.safetensors")
    config = federated(weights=str(base))
    with stopping_after(1):
        simulate(config)
    with pytest.raises(ConfigError, match=r"lr-head was 0\.001 and is now 0.01"):
        simulate(replace(config, resume=True, lr_head=0.01))
    write_base(base, seed=2)
    with pytest.raises(WeightsError, match="put the original file back"):
        simulate(replace(config, resume=True))


def test_a_first_attempt_that_failed_does_not_block_its_folder(
    tmp_path: Path, write_site: Callable[..., Path], federated: MakeConfig, simulate: Simulate
) -> None:
    sites = [write_site(tmp_path, name, 8) for name in ("a", "b")]
    table = sites[0] / "labels.csv"
    text = table.read_text()
    table.write_text(text.replace("sick", "unknown"))
    config = federated(sites=sites)
    with pytest.raises(SiteError, match="cannot take part"):
        simulate(config)
    table.write_text(text)
    assert simulate(config)["sites"] == ["a", "b"]
