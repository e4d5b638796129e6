from __future__ import annotations

import numpy as np

from server.disclosure.class_cohorts import whole_classes
from server.disclosure.class_rounding import rounded_classes, rounded_labels
from server.report.class_cohorts import class_cohorts
from shared.limits import MIN_CELL
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.classes.results import ClassMetrics, ClassResult, LabelMetrics
from shared.metrics.histogram import SCORE_BINS
from shared.metrics.summary import BinaryMetrics
from shared.outcome.registry import outcome_of

NOMINAL = outcome_of("classes", ["none", "mild", "severe"])
LABELS = outcome_of("labels", ["effusion", "oedema"])


def counted(patients: int, seed: int = 0) -> ClassCounts:
    rng = np.random.default_rng(seed)
    bins = rng.integers(0, SCORE_BINS, (patients, 3))
    return ClassCounts.from_bins(bins, np.arange(patients) % 3, rng.integers(0, 3, patients), 3)


def test_the_owner_s_cohort_is_read_back_for_the_page_as_it_was_counted() -> None:
    sites = {"south": counted(40, 1), "north": counted(30, 2)}
    whole = whole_classes(sites, NOMINAL)
    (page,) = class_cohorts({"pooled": whole.pooled, "site": whole.sites}, None, ())
    assert isinstance(page.pooled, ClassMetrics)
    assert page.pooled.patients == 70
    confusion = sites["south"].confusion + sites["north"].confusion
    assert page.pooled.confusion == tuple(map(tuple, confusion.tolist()))
    assert list(page.sites) == ["north", "south"]
    north = page.sites["north"]
    assert north is not None
    assert {"outcome": "classes"} | north.to_json() == whole.sites["north"]
    assert class_cohorts(None, None, ()) == ()


def test_a_class_that_is_not_kept_has_nothing_and_cells_go_down_in_steps() -> None:
    (page,) = class_cohorts(
        {"pooled": whole_classes({"north": counted(60)}, NOMINAL).pooled, "site": {}}, None, ()
    )
    exact = page.pooled
    assert isinstance(exact, ClassMetrics)
    shown = rounded_classes(exact, {0, 2})
    assert shown.classes["mild"] == ClassResult()
    assert shown.classes["none"].support == 20
    # Of the two classes that are kept, not of all three.
    held = [exact.classes[name].f1 or 0.0 for name in ("none", "severe")]
    assert shown.f1 == round(sum(held) / 2, 2)
    assert shown.confusion is not None
    assert exact.confusion is not None
    for row, own in zip(shown.confusion, exact.confusion, strict=True):
        assert [cell % MIN_CELL for cell in row] == [0, 0, 0]
        assert all(0 <= before - after < MIN_CELL for after, before in zip(row, own, strict=True))


def test_a_label_that_is_not_kept_has_nothing_and_is_in_no_mean() -> None:
    rng = np.random.default_rng(3)
    counts = LabelCounts.from_bins(
        rng.integers(0, SCORE_BINS, (80, 2)), rng.integers(0, 2, (80, 2))
    )
    (page,) = class_cohorts(
        {"pooled": whole_classes({"north": counts}, LABELS).pooled, "site": {}}, None, ()
    )
    exact = page.pooled
    assert isinstance(exact, LabelMetrics)
    shown = rounded_labels(exact, {1})
    assert shown.labels["effusion"] == BinaryMetrics()
    assert exact.labels["oedema"].f1 is not None
    assert shown.f1 == round(exact.labels["oedema"].f1, 2)
    assert shown.labels["oedema"].positives == exact.labels["oedema"].positives
