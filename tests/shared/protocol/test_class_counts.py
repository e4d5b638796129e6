"""Counts of classes and labels in a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from flwr.app import MetricRecord, RecordDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import ProtocolError
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.histogram import SCORE_BINS
from shared.protocol.classes import (
    class_counts_from_metrics,
    class_counts_to_values,
    label_counts_from_metrics,
    label_counts_to_values,
)

Content = Callable[[RecordDict], RecordDict]


def sent(on_the_wire: Content, values: dict[str, list[int]]) -> MetricRecord:
    content = on_the_wire(RecordDict({"metrics": MetricRecord(dict(values))}))
    return cast(MetricRecord, content["metrics"])


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(2, 4), st.booleans(), st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_counts_survive_the_wire(
    on_the_wire: Content, classes: int, ordinal: bool, patients: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = classes - ordinal
    bins = rng.integers(0, SCORE_BINS, (patients, scores))
    labels, predicted = rng.integers(0, classes, (2, patients))
    counts = ClassCounts.from_bins(bins, labels, predicted, classes)
    metrics = sent(on_the_wire, class_counts_to_values(counts, "x-"))
    assert class_counts_from_metrics(metrics, scores, classes, "x-") == counts
    labelled = LabelCounts.from_bins(bins, rng.integers(-1, 2, bins.shape))
    metrics = sent(on_the_wire, label_counts_to_values(labelled))
    assert label_counts_from_metrics(metrics, scores) == labelled


def test_a_message_grows_with_the_patients_not_with_the_bins() -> None:
    rng = np.random.default_rng(1)
    labels, predicted = rng.integers(0, 10, (2, 100))
    bins = rng.integers(0, SCORE_BINS, (100, 10))
    values = class_counts_to_values(ClassCounts.from_bins(bins, labels, predicted, 10))
    assert sum(map(len, values.values())) <= 2 * 100 * 10 + 10**2 + 10 * 45


VALUES = class_counts_to_values(
    ClassCounts.from_bins([[3, 400, 5], [5, 300, 9], [7, 2, 2]], [0, 0, 2], [0, 1, 2], 3)
)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("class-score-steps", None, "not .* counts|missing"),
        ("class-score-steps", [1] * 5000, "there are 4626"),
        ("class-score-steps", [0, *VALUES["class-score-steps"][1:]], "not, or is empty"),
        ("class-score-steps", [4626] * 9, "not, or is empty"),
        ("class-score-patients", VALUES["class-score-patients"][1:], "does not have 9 counts"),
        ("class-score-patients", [0] * 9, "not, or is empty"),
        ("class-score-patients", [10**6 + 1] * 9, "above 1000000"),
        ("class-confusion", [1] * 8, "does not have 9 counts"),
        ("class-confusion", [1] * 9, "different numbers of patients"),
        ("class-products", [0] * 9, "No patients have such products"),
        ("class-products", [1.5] * 9, "not a count"),
        ("class-products", None, "does not have 9 counts"),
    ],
)
def test_counts_that_no_site_can_have_are_refused(
    key: str, value: list[int] | None, sentence: str
) -> None:
    values = {name: own for name, own in VALUES.items() if name != key}
    changed = values if value is None else values | {key: value}
    with pytest.raises(ProtocolError, match=sentence):
        class_counts_from_metrics(MetricRecord(dict(changed)), 3, 3)


def test_counts_of_other_classes_are_refused() -> None:
    metrics = MetricRecord(dict(VALUES))
    for scores, classes in (2, 3), (3, 4), (4, 4):
        with pytest.raises(ProtocolError):
            class_counts_from_metrics(metrics, scores, classes)
    with pytest.raises(ProtocolError):
        label_counts_from_metrics(
            MetricRecord(dict(label_counts_to_values(LabelCounts.empty(2)))), 3
        )


LABELS = label_counts_to_values(
    LabelCounts.from_bins([[3, 400], [5, 300], [7, 2]], [[1, 0], [0, 1], [1, -1]])
)


@pytest.mark.parametrize("key", [key for key in LABELS if key.startswith("label-pair")])
def test_pairs_of_labels_that_no_site_can_have_are_refused(key: str) -> None:
    for value in ([1] * 3, [-1] * 4, [10**9] * 4, None):
        changed = {name: own for name, own in LABELS.items() if name != key}
        if value is not None:
            changed[key] = value
        with pytest.raises(ProtocolError):
            label_counts_from_metrics(MetricRecord(dict(changed)), 2)
