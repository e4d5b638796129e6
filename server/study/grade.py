"""The clinical grade as a study's comparator."""

from __future__ import annotations

from collections.abc import Sequence

from server.disclosure.groups import ShownGroups
from server.evaluation.grades import added_up, pool_graded
from server.results.study import GradeResult
from server.study.asking import StudySites
from server.study.statistics import grade_result
from shared.events import Warned, emit
from shared.metrics.grades import GradeCounts
from shared.metrics.histogram import Histogram


def compare_grade(
    repeats: Sequence[Sequence[str]],
    sites: Sequence[str],
    shown: ShownGroups,
    asked: StudySites,
    *,
    for_others: bool,
) -> GradeResult | None:
    """The grade against an arm, whose runs `repeats` has by repeat; None where there is none.

    None, too, where a class is missing among those who have one, and where it would reveal too
    few of them, or beside the arms that are `shown` of too few patients of other sites.
    """
    models: list[Histogram] = []
    grades = GradeCounts((), (), ())
    graded: tuple[str, ...] = ()
    for runs in repeats:
        replies = asked.count(runs, sites)
        own = {name: reply.graded for name, reply in replies.items() if reply.graded}
        pooled = None
        if own:
            pooled = pool_graded(own, shown.hidden) if for_others else added_up(own)
        if pooled is None:
            return None
        models.append(pooled.model)
        grades, graded = pooled.grades, tuple(own)
    # The arm's patients less those with a grade are those of the sites that have none.
    if shown.hides_few(set(sites) - set(graded)) or not shown.admit(graded):
        emit(Warned("The clinical grade is not compared: some site without it has few patients."))
        return None
    paired = asked.compare_grade(repeats, graded, models, grades)
    return grade_result(grades.histogram(), paired) if paired else None
