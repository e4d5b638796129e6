"""The clinical grade as a study's comparator."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from server.grades import pool_graded
from server.study.asking import StudySites
from server.study.results import GradeResult
from server.study.statistics import grade_result
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
    models: list[Histogram] = []
    grades = GradeCounts((), (), ())
    graded: tuple[str, ...] = ()
    for runs in repeats:
        replies = asked.count(runs, sites)
        own = {name: reply.graded for name, reply in replies.items() if reply.graded}
        pooled = pool_graded(own, hidden) if own else None
        if pooled is None:
            return None
        models.append(pooled.model)
        grades, graded = pooled.grades, tuple(own)
    paired = asked.compare_grade(repeats, graded, models, grades)
    return grade_result(grades.histogram(), paired) if paired else None
