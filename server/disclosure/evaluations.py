"""What evaluations of cohorts have shown, so that no later one reveals the difference.

Their releases stand in the register of the runs next to which the model lies. Cohorts are held to
earlier evaluations of cohorts, a column's subgroups to earlier ones of the same cohort and column.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence

from server.disclosure.groups import Counts, ShownGroups
from server.disclosure.register import OF_EVALUATION, Register, kind_of
from server.disclosure.suppression import Suppression, suppress, suppress_given_earlier
from server.external.cohorts import ScoredCohort
from server.external.subgroups import Column, divide
from shared.limits import MIN_CELL
from shared.run.events import Warned, emit
from shared.run.patient_scores import PatientScore

Data = Mapping[tuple[str, ...], str]
"""A digest of the patients of each cohort, (cohort,), and subgroup, (cohort, column, value)."""


def digests(cohorts: Sequence[ScoredCohort], columns: Sequence[Column]) -> Data:
    """A digest of each cohort and subgroup: who is in it, and in which class."""
    found: dict[tuple[str, ...], str] = {}
    for one in cohorts:
        name, patients = one.scores.site, one.scores.patients
        found[name,] = _digest(patients)
        for column in columns:
            for value, own in divide(column, patients).items():
                found[name, column.name, value] = _digest(own)
    return found


def _digest(patients: Iterable[PatientScore]) -> str:
    text = json.dumps(sorted([one.site, one.patient, one.truth] for one in patients))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


HIDDEN = "other groups"
"""The hidden groups of a column, however many they are."""


class ShownEvaluations:
    """Decides what an evaluation may show given all earlier ones, and enters it."""

    def __init__(self, run: str, register: Register, data: Data, outcome: str = "") -> None:
        """`outcome` is what the run predicts, where that is no finding."""
        self._run, self._register, self._data = run, register, data
        self._place = f"{OF_EVALUATION} of {outcome}" if outcome else OF_EVALUATION

    def cohorts(self, counts: Mapping[str, Counts], small: Collection[str]) -> Suppression:
        """Which cohorts are hidden, `small` ones among them, and whether all together are shown."""
        data = {name: self._data.get((name,), "") for name in counts}
        decision = self._decide(self._place, counts, small, data, MIN_CELL)
        alone = suppress(counts, small, MIN_CELL)
        if more := sorted(decision.hidden - alone.hidden):
            emit(Warned(f"Not shown: {', '.join(more)}. {_WITH_EARLIER}"))
        elif alone.shows_totals and not decision.shows_totals:
            emit(Warned(f"Not shown: all cohorts together. {_WITH_EARLIER}"))
        return decision

    def subgroups(
        self, cohort: str, column: str, counts: Mapping[str, Counts], small: Collection[str],
        limit: int,
    ) -> frozenset[str]:  # fmt: skip
        """Which of a column's subgroups are hidden.

        All are where an earlier evaluation cut the column otherwise: the difference of two cuts may
        be a single patient.
        """
        place = f"{self._place}, {cohort} by {column}"
        data = {value: self._data.get((cohort, column, value), "") for value in counts}
        with self._register.opened() as releases:
            before = {name for one in releases.before if kind_of(one.cohort) == kind_of(place)
                      for name in one.members}  # fmt: skip
        if before <= set(counts):
            hidden = self._decide(place, counts, small, data, limit).hidden
        else:
            hidden = frozenset(counts)
        if hidden > suppress(counts, small, limit).hidden:
            emit(Warned(f"Not shown: subgroups of {cohort} by {column}. {_WITH_EARLIER}"))
        return hidden

    def _decide(
        self, place: str, counts: Mapping[str, Counts], small: Collection[str],
        data: Mapping[str, str], limit: int,
    ) -> Suppression:  # fmt: skip
        with self._register.opened() as releases:
            groups = ShownGroups(counts, small, limit, releases.earlier(place, data, counts, limit))
            decision = suppress_given_earlier(groups, counts)
            releases.add_admitted(self._run, place, groups)
        return decision


_WITH_EARLIER = (
    "Together with earlier evaluations, which releases.jsonl lists, they would reveal few patients "
    "or cannot be compared with them."
)
