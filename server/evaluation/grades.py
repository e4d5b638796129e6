"""The clinical grade as a comparator: its AUROC, and the model's in the same patients."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flwr.app import RecordDict

from server.disclosure.grades import may_be_compared
from server.disclosure.groups import counts_of
from server.federation.asking import said_by_all
from server.federation.context import Federation
from server.federation.replies import fitting_sums, require_name
from server.run.evaluation_file import CovariateCounts
from shared.errors import ProtocolError
from shared.metrics.binary import auroc
from shared.metrics.delong import PairedComparison, delong_test
from shared.metrics.grades import GradeCounts
from shared.metrics.histogram import Histogram, summed
from shared.metrics.interval import auroc_interval
from shared.metrics.paired import PairedSums, placements
from shared.outcome.binary import BINARY
from shared.outcome.counts import totals
from shared.protocol.compare import MESSAGE_TYPE, CompareReply, CompareRequest
from shared.protocol.evaluate import EvaluateReply, Scope
from shared.protocol.graded import Graded
from shared.run.events import Warned, emit


@dataclass(frozen=True)
class GradeComparison:
    """Patients of all sites who have a grade: the grade, the model, and their difference."""

    grades: GradeCounts
    model: Histogram
    paired: PairedComparison | None
    """Model minus grade by DeLong's test; None where a class or a site's sums are missing."""

    @property
    def counts(self) -> CovariateCounts:
        """The grade's counts as evaluation.json has them."""
        return CovariateCounts(None, self.grades.levels, self.grades.histogram())

    def to_json(self) -> dict[str, Any]:
        """The comparison as summary.json has it."""
        graded = self.grades.histogram()
        return {
            "auroc": auroc(graded),
            "auroc_ci95": auroc_interval(graded),
            "model_auroc": auroc(self.model),
            **totals(graded),
            "difference": asdict(self.paired) if self.paired else None,
        }


def compare_with_grades(
    federation: Federation,
    scope: Scope,
    replies: Mapping[str, EvaluateReply],
    hidden: Collection[str] = (),
) -> GradeComparison | None:
    """The comparison over the sites that have a grade; None where none has.

    None, too, where it would reveal the counts of a small one: `hidden` sites are not shown.
    """
    graded = {name: reply.graded for name, reply in replies.items() if reply.graded}
    if not graded or federation.disclosure.outcome != BINARY:
        return None
    rules = federation.disclosure
    pooled = pool_graded(graded, hidden) if rules.for_others else added_up(graded)
    if pooled is None:
        return None
    if not rules.admits(scope, graded):
        emit(Warned("The clinical grade is not compared: a site without it has few patients."))
        return None
    grades, model = pooled.grades, pooled.model
    request = CompareRequest(
        run=federation.run,
        scope=scope,
        runs_a=((federation.run,),),
        runs_b=(),
        pooled_a=(model,),
        pooled_b=grades,
    )
    try:
        paired = delong_test(ask_for_sums(federation, request, set(graded)))
    except (ProtocolError, ValueError) as error:
        emit(Warned(f"Model and clinical grade are not compared: {str(error).rstrip('.')}."))
        paired = None
    return GradeComparison(grades, model, paired)


def pool_graded(graded: Mapping[str, Graded], hidden: Collection[str]) -> Graded | None:
    """All sites' patients who have a grade; None where they may not be compared, and says why."""
    counts = {name: counts_of(own.model) for name, own in graded.items()}
    if not may_be_compared(counts, hidden):
        emit(Warned("The clinical grade is not compared: too few patients have one at some site."))
        return None
    return added_up(graded)


def added_up(graded: Mapping[str, Graded]) -> Graded | None:
    """All sites' patients who have a grade; None where their grades do not go together."""
    try:
        grades = sum((own.grades for own in graded.values()), start=GradeCounts((), (), ()))
    except ValueError as error:
        emit(Warned(f"The sites' clinical grades are not compared: {error}"))
        return None
    return Graded(grades, summed(own.model for own in graded.values()))


def ask_for_sums(
    federation: Federation, request: CompareRequest, sites: Collection[str]
) -> PairedSums:
    """The sums over these sites' patients; ProtocolError where one of them does not answer.

    Without all of them the pooled counts would be of other patients than the sums.
    """
    nodes = {n: s.name for n, s in federation.roster.sites.items() if s.name in sites}
    if missing := set(sites) - set(nodes.values()):
        raise ProtocolError(f"{', '.join(sorted(missing))} is not connected")
    empty = PairedSums.empty(placements(request.pooled_a[0]), request.repeats)

    def read(node: int, content: RecordDict) -> PairedSums:
        reply = CompareReply.from_content(content)
        require_name(reply.site, nodes[node])
        return fitting_sums(reply, empty)

    answers = federation.ask(
        dict.fromkeys(nodes, request.to_content()), MESSAGE_TYPE, "compare", read
    )
    return sum(said_by_all(answers, nodes).values(), start=empty)
