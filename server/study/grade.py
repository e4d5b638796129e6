"""The clinical grade as a study's comparator."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from server.grades import pool_graded
from server.study.asking import StudySites
from server.study.results import GradeResult
from server.study.statistics import grade_result
from shared.metrics.delong import PairedComparison
from shared.metrics.grades import GradeCounts


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
        pooled = pool_graded(graded, hidden) if graded else None
        if pooled is None:
            return None
        grades = pooled.grades
        found = asked.compare_grade(runs, list(graded), pooled.model, grades)
        if found is None:
            return None
        paired.append(found)
    return grade_result(grades.histogram(), paired)
