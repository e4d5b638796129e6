"""Where the clinical grade's comparison would tell of a small site."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from server.disclosure.grades import may_be_compared
from server.disclosure.run import Disclosure
from server.evaluation.grades import compare_with_grades
from shared.metrics.grades import GradeCounts
from shared.metrics.histogram import Histogram
from shared.protocol.evaluate import EvaluateReply
from shared.protocol.graded import Graded
from shared.run.events import Event, Warned, listening


def graded(positives: int, negatives: int) -> Graded:
    """So many patients of each class, all of one grade."""
    labels = [1] * positives + [0] * negatives
    counts = GradeCounts((1.0,), (positives,), (negatives,))
    return Graded(counts, Histogram.from_bins([0] * len(labels), labels))


@pytest.mark.parametrize(
    ("sites", "hidden", "allowed"),
    [
        ({"a": (9, 9), "b": (5, 5)}, set(), True),
        ({"a": (9, 9)}, set(), True),
        # One small site among large ones, by its graded patients or as it is hidden.
        ({"a": (9, 9), "b": (4, 9)}, set(), False),
        ({"a": (9, 9), "b": (9, 9)}, {"b"}, False),
        # Two whose sum is large enough, or not.
        ({"a": (9, 9), "b": (3, 9), "c": (4, 9)}, {"b"}, True),
        ({"a": (9, 9), "b": (2, 9), "c": (2, 9)}, {"b", "c"}, False),
        # Who has no grade hides nobody.
        ({"a": (9, 9), "b": (4, 9)}, {"b", "z"}, False),
        ({"a": (9, 9)}, {"z"}, True),
    ],
)
def test_sums_that_tell_a_small_count_are_not_compared(
    sites: dict[str, tuple[int, int]], hidden: set[str], allowed: bool
) -> None:
    assert may_be_compared(sites, hidden) is allowed


def test_a_comparison_that_may_not_be_told_is_not_even_asked_for() -> None:
    own = graded(3, 9)
    reply = EvaluateReply("a", own.model, True, 1.0, own)
    heard: list[Event] = []
    with listening(heard.append):
        nobody = cast(Any, SimpleNamespace(disclosure=Disclosure()))
        assert compare_with_grades(nobody, "test", {"a": reply}, {"a"}) is None
    [event] = heard
    assert isinstance(event, Warned)
    assert "grade is not compared" in event.text
