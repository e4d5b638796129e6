"""Where the clinical grade, beside the arms, would tell of a site that has none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import pytest

from server.disclosure.groups import ShownGroups
from server.study.gather import compare_grade
from shared.metrics.grades import GradeCounts
from shared.metrics.histogram import Histogram
from shared.protocol.evaluate import EvaluateReply
from shared.protocol.graded import Graded
from shared.run.events import Event, Warned, listening

LARGE, SMALL, FEW = (20, 30), (4, 30), (2, 30)
Sites = Mapping[str, tuple[int, int]]


class Asked:
    """Sites that say what they hold, and whether the grade's sums were asked for."""

    def __init__(self, sites: Sites, hidden: Collection[str], graded: Collection[str]):
        self.sites, self.hidden, self.graded = sites, hidden, graded
        self.compared: tuple[str, ...] | None = None

    def count(self, runs: Sequence[str], sites: Sequence[str]) -> dict[str, EvaluateReply]:
        return {name: self._reply(name) for name in sites}

    def _reply(self, name: str) -> EvaluateReply:
        positives, negatives = self.sites[name]
        labels = [1] * positives + [0] * negatives
        model = Histogram.from_bins([0] * len(labels), labels)
        own = Graded(GradeCounts((1.0,), (positives,), (negatives,)), model)
        graded = own if name in self.graded else None
        return EvaluateReply(name, model, name in self.hidden, 0.0, graded)

    def compare_grade(self, repeats: object, sites: Sequence[str], *rest: object) -> None:
        self.compared = tuple(sites)


@pytest.mark.parametrize(
    ("others", "hidden", "comparable"),
    [
        ({"s": LARGE}, "", True),
        # All sites of the arm less those with a grade.
        ({"s": SMALL}, "s", False),
        ({"s": SMALL, "t": SMALL}, "st", True),
        ({"s": SMALL, "t": FEW}, "st", False),
        # A large one beside it may be known otherwise.
        ({"s": SMALL, "t": LARGE}, "s", False),
        ({}, "", True),
    ],
)
def test_the_sites_without_a_grade_are_no_difference_of_what_is_shown(
    others: Sites, hidden: str, comparable: bool
) -> None:
    sites = {"n": LARGE, "e": LARGE, **others}
    shown = ShownGroups(sites, hidden, 5)
    assert shown.admit(sites)
    asked = Asked(sites, hidden, "ne")
    heard: list[Event] = []
    with listening(heard.append):
        assert (
            compare_grade([["run"]], list(sites), shown, cast(Any, asked), for_others=True) is None
        )
    assert (asked.compared == ("n", "e")) is comparable
    assert [type(event) for event in heard] == ([] if comparable else [Warned])


def test_an_arm_of_some_sites_counts_as_well() -> None:
    """All sites, less those with a grade and less the arm of e and s, leave t."""
    sites = {"n": LARGE, "e": LARGE, "s": SMALL, "t": SMALL}
    shown = ShownGroups(sites, "st", 5)
    assert shown.admit("nest")
    assert shown.admit("es")
    assert not shown.hides_few("est")
    asked = Asked(sites, "st", "n")
    assert compare_grade([["run"]], list(sites), shown, cast(Any, asked), for_others=True) is None
    assert asked.compared is None
