"""Digits that are shown."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.disclosure.coarse import coarse
from server.disclosure.rounding import decimals, rounded, rounded_count, rounded_loss, significant
from shared.limits import MIN_CELL
from shared.metrics.histogram import Histogram
from shared.metrics.summary import BinaryMetrics, summarise

COUNTS = st.lists(st.tuples(st.integers(0, 513), st.integers(0, 1)), max_size=60)


@pytest.mark.parametrize(
    ("patients", "error", "places"),
    [
        (163, 0.04, 3), (163, 0.15, 2), (50, 0.04, 2), (50, 0.15, 2), (9, 0.15, 1),
        (5000, 0.0095, 4), (5000, 0.0105, 3), (163, None, 3), (40, 0.0, 2), (0, None, 1),
    ],
)  # fmt: skip
def test_decimals(patients: int, error: float | None, places: int) -> None:
    assert decimals(patients, error) == places


def test_counts_losses_and_digits() -> None:
    assert [rounded_count(n) for n in (1, 6, 8, 163, None)] == [5, 5, 10, 165, None]
    assert [rounded_loss(0.69315, n) for n in (9, 40, 163, 5000)] == [0.7, 0.7, 0.69, 0.693]
    assert [significant(x) for x in (0.8642, 12.34, 0.0, None)] == [0.86, 12.0, 0.0, None]


@given(COUNTS)
def test_rounded_metrics_are_near_the_exact_ones(patients: list[tuple[int, int]]) -> None:
    exact = summarise(Histogram.from_bins([b for b, _ in patients], [y for _, y in patients]))
    shown = rounded(exact)
    most = 10.0 ** -len(str(max(1, len(patients))))
    for name in ("auroc", "auprc", "brier", "f1", "ece", "sensitivity", "specificity"):
        value, before = getattr(shown, name), getattr(exact, name)
        assert (value is None) == (before is None)
        if value is not None:
            assert abs(value - before) <= 0.05 + 1e-9
            # A multiple of the unit that so many patients support, so nothing finer is told.
            assert value / most == pytest.approx(round(value / most), abs=1e-6)
    assert (shown.positives, shown.negatives) == (exact.positives, exact.negatives)


def test_without_counts_no_metric_is_shown() -> None:
    assert rounded(BinaryMetrics(auroc=0.75, brier=0.1, positives=9)) == BinaryMetrics()


@given(COUNTS, st.data())
def test_groups_of_scores_hold_no_few_patients(
    patients: list[tuple[int, int]], data: st.DataObject
) -> None:
    hidden = [one for one in patients if data.draw(st.booleans())]
    whole, part = (
        Histogram.from_bins([b for b, _ in some], [y for _, y in some])
        for some in (patients, hidden)
    )
    shown = coarse(whole, part, MIN_CELL)
    first = coarse(whole, part, MIN_CELL, at_start=True)
    starts = np.flatnonzero(first.positives + first.negatives)
    ends = [*starts[1:], 514][: len(starts)]
    assert (shown.total_positives, shown.total_negatives) == (
        whole.total_positives, whole.total_negatives,
    )  # fmt: skip
    for low, high in zip(starts, ends, strict=True):
        held, own = (int((h.positives + h.negatives)[low:high].sum()) for h in (whole, part))
        assert len(starts) == 1 or (held >= MIN_CELL and (own == 0 or own >= MIN_CELL))
        assert len(starts) == 1 or (low - 1) % 8 == 0 or low == 0


def test_only_this_room_marks_a_value_as_shown() -> None:
    """Writers take nothing but `Shown`, so exact numbers cannot reach a file by accident."""
    server = Path(__file__).parents[3] / "server"
    made = {
        path.relative_to(server).parts[0]
        for path in server.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Shown"
    }
    assert made == {"disclosure"}
