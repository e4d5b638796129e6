"""The clinical grade as a study's comparator."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from server.grades import may_be_compared
from server.study.asking import StudySites
from server.study.results import GradeResult
from server.study.statistics import grade_result
from shared.events import Warned, emit
from shared.metrics.delong import PairedComparison
from shared.metrics.grades import GradeCounts
from shared.metrics.histogram import Histogram


def compare_grade(
    repeats: Sequence[Sequence[str]],
    sites: Sequence[str],
    hidden: Collection[str],
    asked: StudySites,
) -> GradeResult | None:
    """The grade against an arm, whose runs `repeats` has by repeat; None where there is none.

    None, too, where a class is missing among those who have one, and where it would tell of too
    few of them.
    """
    paired: list[PairedComparison] = []
    grades = GradeCounts((), (), ())
    for runs in repeats:
        replies = asked.count(runs, sites)
        graded = {name: reply.graded for name, reply in replies.items() if reply.graded}
        if not graded or not may_be_compared(graded, hidden):
            return None
        try:
            grades = sum((own.grades for own in graded.values()), start=GradeCounts((), (), ()))
        except ValueError as error:
            emit(Warned(f"The sites' clinical grades are not compared: {error}"))
            return None
        model = sum((own.model for own in graded.values()), start=Histogram.empty())
        found = asked.compare_grade(runs, list(graded), model, grades)
        if found is None:
            return None
        paired.append(found)
    return grade_result(grades.histogram(), paired)
