"""Which sites of a cohort a run may show, and the cohort without the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from server.disclosure.coarse import coarse
from server.disclosure.groups import Counts, ShownGroups
from server.disclosure.register import Register
from server.disclosure.rounding import rounded
from server.disclosure.suppression import Suppression, suppress_given_earlier
from server.run.evaluation_file import CohortCounts
from shared.limits import MIN_CELL
from shared.metrics.histogram import Histogram, summed
from shared.metrics.summary import summarise, suppressed
from shared.run.events import Warned, emit

WITHHELD = (
    "Results of all sites together are not shown where they would reveal few patients of one: "
    "because too few take part, or in combination with what was shown before. The training goes "
    "on as usual."
)


@dataclass(frozen=True)
class ShownCohort:
    """A cohort under a model, as far as it may be shown; objects as summary.json has them."""

    pooled: Mapping[str, Any]
    sites: Mapping[str, Mapping[str, Any]]
    counts: CohortCounts
    hidden: frozenset[str]
    shows_totals: bool


def whole_cohort(histograms: Mapping[str, Histogram]) -> ShownCohort:
    """The whole cohort, exactly, for the owner of every site's data."""
    total = summed(histograms.values())
    return ShownCohort(
        pooled=summarise(total).to_json(),
        sites={name: summarise(one).to_json() for name, one in histograms.items()},
        counts=CohortCounts(total, dict(histograms)),
        hidden=frozenset(),
        shows_totals=True,
    )


def shown_cohort(histograms: Mapping[str, Histogram], decision: Suppression) -> ShownCohort:
    """Rounded metrics and coarse counts of the sites and totals that the decision shows."""
    hidden = decision.hidden
    total = summed(histograms.values()) if decision.shows_totals else None
    behind = summed(one for name, one in histograms.items() if name in hidden)
    shown = {name: None if name in hidden else one for name, one in histograms.items()}
    return ShownCohort(
        pooled=_metrics(total),
        sites={name: _metrics(one) for name, one in shown.items()},
        counts=CohortCounts(
            _coarse(total, behind),
            {name: _coarse(one, Histogram.empty()) for name, one in shown.items()},
        ),
        hidden=hidden,
        shows_totals=decision.shows_totals,
    )


def _metrics(histogram: Histogram | None) -> Mapping[str, Any]:
    return (suppressed() if histogram is None else rounded(summarise(histogram))).to_json()


def _coarse(histogram: Histogram | None, behind: Histogram) -> Histogram | None:
    return None if histogram is None else coarse(histogram, behind, MIN_CELL)


class CohortDecisions:
    """What a run decides to show of its cohorts, entered in the register with earlier runs'."""

    def __init__(self, run: str, split: str, register: Register) -> None:
        """`split` says which patients are held out, as far as their number depends on it."""
        self._run, self._split, self._register = run, split, register
        self._groups: dict[str, ShownGroups] = {}
        self._warned = False

    def decide(
        self,
        scope: str,
        counts: Mapping[str, Counts],
        own: Collection[str],
        data: Mapping[str, str],
    ) -> Suppression:
        """Which sites are hidden; those in `own` suppress their own values.

        `data` has a digest of each site's data. Warns the first time that totals are withheld.
        """
        cohort = self._cohort(scope)
        with self._register.opened() as releases:
            earlier = releases.earlier(cohort, data, counts, MIN_CELL)
            groups = ShownGroups(counts, own, MIN_CELL, earlier)
            decision = suppress_given_earlier(groups, counts)
            releases.add_admitted(self._run, cohort, groups)
        self._groups[scope] = groups
        if not decision.shows_totals and not self._warned:
            self._warned = True
            emit(Warned(WITHHELD))
        return decision

    def admits(self, scope: str, group: Collection[str]) -> bool:
        """Whether results of these sites alone may be shown as well; then they count as shown.

        Of a scope that `decide` was asked for before.
        """
        groups = self._groups[scope]
        if not groups.admit(group):
            return False
        with self._register.opened() as releases:
            releases.add_admitted(self._run, self._cohort(scope), groups)
        return True

    def _cohort(self, scope: str) -> str:
        return f"{scope}, {self._split}"
