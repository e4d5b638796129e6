"""A study's arm of several classes against scikit-learn, where a class is left out of it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from server.disclosure.classes import kept_of, shown_metrics
from server.results.plan import Arm
from server.results.study import RoundsTaken
from server.study.classes.statistics import class_arm
from shared.limits import MIN_CELL
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.histogram import bin_of_probability
from shared.outcome.registry import parse_outcome


@pytest.mark.parametrize(("few", "kept"), [(MIN_CELL - 2, (0, 1)), (MIN_CELL, (0, 1, 2))])
def test_mean_f1_is_of_the_classes_that_are_kept(few: int, kept: tuple[int, ...]) -> None:
    """Of a class that is left out nobody is counted, though some are predicted to be of it."""
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1, 2], [60, 40, few])
    scores = rng.dirichlet([1, 1, 1], truth.size) + 0.5 * np.eye(3)[truth]
    scores /= scores.sum(axis=1, keepdims=True)
    called = scores.argmax(axis=1)
    outcome = parse_outcome("classes: none | mild | severe")
    counts = ClassCounts.from_bins(bin_of_probability(scores), truth, called, 3)
    assert kept_of(counts) == kept
    arm = class_arm(Arm("first"), outcome, [counts], kept, 1.0, RoundsTaken(1, 1, 1))
    own = np.isin(truth, kept)
    assert 2 in called[own & (truth < 2)]
    wanted = f1_score(truth[own], called[own], labels=list(kept), average="macro")
    found = arm.metrics["f1"].over_repeats
    assert found is not None
    assert found.mean == pytest.approx(wanted)
    assert shown_metrics(outcome, counts, kept)["f1"] == pytest.approx(wanted, abs=0.005)
