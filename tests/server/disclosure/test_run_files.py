"""What others see of a run's rounds and of its summary, beside its cohorts."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from server.disclosure.run_files import (
    shown_calibration,
    shown_signals,
    shown_site,
    shown_summary,
)
from server.results.signals import Signals, UnitSignals
from server.run.ledger import SiteRound
from shared.metrics.histogram import Histogram
from shared.metrics.summary import suppressed

EXACT = SiteRound(
    images=163, patients=58, steps=41, loss=0.693147, train_seconds=12.345, evaluate_seconds=1.234,
    peak_memory_bytes=123_456_789, continued_from=3, metrics={}, update_ratio=1.5,
)  # fmt: skip


def test_of_a_hidden_site_only_where_it_continued() -> None:
    values = asdict(shown_site(EXACT, {"auroc": None}, hidden=True))
    kept = {name: value for name, value in values.items() if value is not None}
    assert kept == {"continued_from": 3, "metrics": {"auroc": None}}


def test_counts_are_in_steps_of_five_and_steps_are_not_shown() -> None:
    seen = shown_site(EXACT, {}, hidden=False)
    assert (seen.images, seen.patients, seen.steps) == (165, 60, None)
    assert seen.loss != EXACT.loss
    assert seen.loss == pytest.approx(EXACT.loss or 0, abs=0.05)


@pytest.mark.parametrize("scope", ["site", "test"])
@pytest.mark.parametrize("hides", [True, False])
def test_times_of_all_sites_would_give_a_hidden_ones(scope: str, hides: bool) -> None:
    large = {"positives": 20, "negatives": 30}
    sites = {"north": large, "east": suppressed().to_json() if hides else large}
    others = {"north": large, "east": large}
    summary = {
        "site": sites if scope == "site" else others,
        "test": {"site": sites if scope == "test" else others},
        "bytes": {"up": 123_456}, "peak_memory_bytes": 1_234_567,
        "seconds": {"train": 12.3, "evaluate": 1.2, "total": 20.4},
    }  # fmt: skip
    seconds = shown_summary(summary)["seconds"]
    assert [seconds[key] is None for key in ("train", "evaluate", "total")] == [hides, hides, False]


def test_the_log_loss_is_shown_with_the_totals_alone() -> None:
    units = {"layer4.0": UnitSignals(0.0123, 0.25)}
    exact = Signals(units, 0.6931471)
    pooled = {"positives": 13, "negatives": 19}
    assert shown_signals(None, pooled, totals=True) is None
    assert shown_signals(exact, pooled, totals=True) == Signals(units, 0.7)
    assert shown_signals(exact, pooled, totals=False) == Signals(units, None)
    # Where the patients are not counted there is nothing to round by.
    assert shown_signals(exact, {"positives": None}, totals=True) == Signals(units, None)


def test_the_signal_to_noise_is_shown_with_the_totals_alone() -> None:
    exact = Signals({"layer4.0": UnitSignals(0.0123, 0.25, 0.061)}, 0.6931471)
    pooled = {"positives": 13, "negatives": 19}
    seen, hidden = (shown_signals(exact, pooled, totals=totals) for totals in (True, False))
    assert seen is not None
    assert hidden is not None
    assert seen.units == exact.units
    assert hidden.units == {"layer4.0": UnitSignals(0.0123, 0.25)}


def test_calibration_without_totals_has_keys_alone() -> None:
    patients = Histogram.from_bins([*range(100, 140), *range(120, 160)], [0] * 40 + [1] * 40)
    hidden, seen = (shown_calibration(patients, totals=totals) for totals in (False, True))
    assert hidden.keys() == seen.keys()
    assert not any(hidden.values())
    assert seen["temperature"]
