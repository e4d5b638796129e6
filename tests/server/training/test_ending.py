"""Whole runs with scripted sites that end with more than the last round's model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from server.evaluation.candidates import chosen
from server.federation.global_model import Reference
from server.run.checkpoint import load_checkpoint
from server.run.summary import read_summary
from shared.metrics.histogram import summed
from shared.metrics.log_loss import log_loss
from shared.run.events import Event, Noted
from shared.settings.ending import SHARES

Run = Callable[..., tuple[dict[str, Any], list[Event]]]
GUARDED = {"end": "guarded", "average_share": 0.75}
"""Rounds 3, 4 and 5; the probe ends with round 1."""
OWN = "north:east:south"
"""As a simulation, whose owner sees everything exactly."""


@pytest.fixture
def keep_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """No checkpoint is removed."""
    monkeypatch.setattr("server.run.saving.prune_checkpoints", lambda *_: None)


def deltas(folder: Path) -> list[dict[str, NDArray[np.float64]]]:
    """The federation's model after each round, as deltas to the base."""
    found = [load_checkpoint(folder, number) for number in range(1, 6)]
    assert all(found)
    return [
        {name: array.astype(np.float64) for name, array in one.delta.items()}
        for one in found
        if one is not None
    ]


def expected_model(
    folder: Path, reference: Reference, rounds: list[int], share: float
) -> dict[str, torch.Tensor]:
    """By plain arithmetic from the rounds' checkpoints."""
    after = deltas(folder)
    state = {name: value.double() for name, value in reference.base.state.items()}
    for name, last in after[-1].items():
        zero = np.zeros_like(last)
        mean = np.mean([after[n - 1].get(name, zero) for n in rounds], axis=0)
        start = after[0].get(name, zero)
        state[name] += torch.from_numpy(start + share * (mean - start))
    return state


def assert_is(file: Path, expected: dict[str, torch.Tensor]) -> None:
    model = load_file(file)
    assert set(model) == set(expected)
    for name, tensor in model.items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)


def test_the_mean_of_the_last_rounds(
    run: Run, keep_all: None, reference: Reference, tmp_path: Path
) -> None:
    summary, _ = run(end="average", average_share=0.5)
    folder = tmp_path / "run"
    assert summary["end"] == {"averaged_rounds": [4, 5]}
    assert_is(folder / "model.safetensors", expected_model(folder, reference, [4, 5], 1.0))


def test_the_point_that_the_sites_choose(
    run: Run, keep_all: None, reference: Reference, make_sites: Callable[..., Any], tmp_path: Path
) -> None:
    summary, events = run(**GUARDED, sites=OWN)
    folder, (sites, _) = tmp_path / "run", make_sites()
    pooled = [
        summed(sites.histogram(name, 200 + n) for name in sites.names) for n in range(len(SHARES))
    ]
    losses = [log_loss(one) for one in pooled]
    end = summary["end"]
    assert end["share"] == chosen(losses)
    assert [one["share"] for one in end["candidates"]] == list(SHARES)
    assert [one["log_loss"] for one in end["candidates"]] == [one and one.mean for one in losses]
    assert (end["averaged_rounds"], end["probe_round"]) == ([3, 5], 1)
    assert (end["sites"], end["missing"]) == (["east", "north", "south"], {})
    expected = expected_model(folder, reference, [3, 4, 5], end["share"])
    assert_is(folder / "model.safetensors", expected)
    assert any(isinstance(e, Noted) and "The final model is" in e.text for e in events)
    assert read_summary(folder / "summary.json")["end"] == json.loads(json.dumps(end))


def test_the_model_of_the_last_round_says_nothing_of_it(run: Run, tmp_path: Path) -> None:
    summary, events = run(end="last")
    assert "end" not in summary
    assert not any("The final model is" in e.text for e in events if isinstance(e, Noted))
    last = load_checkpoint(tmp_path / "run", 5)
    assert last is not None
    assert (last.mean, last.probe) == ({}, {})


@pytest.mark.parametrize("cached", [{}, {"strategy": "fedadam"}])
def test_a_run_that_is_continued_ends_with_the_same_bytes(
    run: Run, tmp_path: Path, cached: dict[str, str]
) -> None:
    settings = {**GUARDED, **cached}
    whole, _ = run("whole", **settings)

    def interrupt_at(stop: int) -> Callable[[int, str], None]:
        def at(number: int, site: str) -> None:
            if number == stop:
                raise KeyboardInterrupt

        return at

    for number in range(2, 6):
        with pytest.raises(KeyboardInterrupt):
            run("cut", interrupt_at(number), **settings, resume=number > 2)
    cut, _ = run("cut", **settings, resume=True)
    for name in ("model.safetensors", "round-0005.safetensors", "evaluation.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert (cut["end"], cut["bytes"]) == (whole["end"], whole["bytes"])


def test_for_others_a_log_loss_has_few_digits(
    run: Run,
) -> None:
    exact, _ = run("own", **GUARDED, sites=OWN)
    shown, _ = run("others", **GUARDED)
    assert shown["audience"] == "others"
    assert shown["end"]["share"] == exact["end"]["share"]
    for one, other in zip(exact["end"]["candidates"], shown["end"]["candidates"], strict=True):
        assert other["log_loss"] == pytest.approx(one["log_loss"], abs=0.051)
        assert other["log_loss"] == round(other["log_loss"], 1)
