"""The numbers of a round that recorders show: the ledger's, and none that a site suppresses."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from server.results.signals import Signals, UnitSignals
from server.run.ledger import RoundRecord
from server.tracking.scalars import LAST, final_scalars, scalars

MakeRecord = Callable[..., RoundRecord]


def test_a_round_by_hand(make_record: MakeRecord) -> None:
    """Two negatives at -1 and 1, one positive at 2: ranked right; one negative above 0.5."""
    values = scalars(make_record(2, auroc=0.625, seconds=7.0))
    counted = {
        "bytes/down": 200, "bytes/up": 20, "seconds/round": 7, "seconds/wait": 2,
        "sites/trained": 2, "sites/refused": 1, "sites/absent": 0,
        "maximum_rate/head": 1e-3, "validation/auroc": 0.625,
        "validation/balanced_accuracy": 0.75, "site/east/loss": 0.5, "site/east/auroc": 1.0,
        "loss": 0.5,
    }  # fmt: skip
    assert {name: values[name] for name in counted} == counted
    assert set(values) == {*counted, "validation/brier", "validation/ece"}
    probabilities = [(1 / (1 + math.exp(-x)), y) for x, y in [(-1, 0), (1, 0), (2, 1)]]
    brier = sum((p - y) ** 2 for p, y in probabilities) / 3
    assert values["validation/brier"] == pytest.approx(brier, abs=0.01)
    assert list(values)[-1] == LAST


def test_each_stage_that_trains_has_its_rate(make_record: MakeRecord) -> None:
    values = scalars(make_record(30))
    rates = {name: value for name, value in values.items() if name.startswith("maximum_rate/")}
    assert rates == {
        "maximum_rate/layer2": 1e-4, "maximum_rate/layer3": 2.5e-4,
        "maximum_rate/layer4": 5e-4, "maximum_rate/head": 1e-3,
    }  # fmt: skip


def test_signals_are_shown_where_there_are_some(make_record: MakeRecord) -> None:
    units = {"layer4.0": UnitSignals(0.02, None), "head": UnitSignals(0.1, -0.25, 0.061)}
    before = scalars(make_record(2))
    values = scalars(replace(make_record(2), signals=Signals(units, 0.6)))
    assert {k: v for k, v in values.items() if k not in before} == {
        "distance/layer4.0": 0.02, "distance/head": 0.1, "agreement/head": -0.25,
        "signal_to_noise/head": 0.061,
        "validation/log_loss": 0.6,
    }  # fmt: skip
    hidden = scalars(replace(make_record(2), signals=Signals(units, None)))
    assert "validation/log_loss" not in hidden


def test_a_site_that_suppresses_its_values_does_not_appear(make_record: MakeRecord) -> None:
    record = make_record(1)
    assert set(record.sites) == {"east", "north"}
    assert not [name for name in scalars(record) if "north" in name]


def test_what_is_undefined_is_left_out(make_record: MakeRecord) -> None:
    record = make_record(1, auroc=None)
    east = record.sites["east"]
    one_class = replace(east, metrics={**east.metrics, "auroc": None})
    values = scalars(replace(record, sites={"east": one_class}))
    assert "validation/auroc" not in values
    assert "site/east/auroc" not in values
    assert values["site/east/loss"] == 0.5


def test_the_final_model() -> None:
    pooled: dict[str, Any] = {"auroc": 0.75, "brier": None, "ece": 0.125, "threshold": 0.5}
    assert final_scalars({"pooled": pooled}) == {"final/auroc": 0.75, "final/ece": 0.125}
