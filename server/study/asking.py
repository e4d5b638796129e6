"""Asking the sites of a study for counts and sums of the scores that they have kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from flwr.app import RecordDict
from flwr.serverapp import Grid

from server.federation.asking import ask, said_by_all
from server.federation.messaging import Question
from server.federation.replies import fitting_sums
from server.simulation.inprocess import local_grid
from server.study.paired import PairedRepeats
from shared.errors import RunError
from shared.metrics.binary import auroc
from shared.metrics.delong import delong_test
from shared.metrics.grades import GradeCounts
from shared.metrics.histogram import Histogram, summed
from shared.metrics.paired import PairedSums, placements
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.protocol.compare import (
    COUNT_TYPE,
    MESSAGE_TYPE,
    CompareReply,
    CompareRequest,
    CountRequest,
)
from shared.protocol.evaluate import EvaluateReply
from shared.settings.config import RunConfig

T = TypeVar("T")
Runs = Sequence[str]
"""The runs of one arm and repeat, one a fold."""


@dataclass(frozen=True)
class StudySites:
    """The sites behind a grid: folders of this machine, or hospitals."""

    grid: Grid
    nodes: Mapping[str, int]
    """By the site's name."""
    seconds: float = float("inf")
    """How long an answer may take."""
    outcome: Outcome = BINARY
    """That of the study's runs."""

    def count(self, runs: Runs, sites: Sequence[str]) -> dict[str, EvaluateReply]:
        """The patients held out in these runs, by site; what is shown of them is up to the asker.

        A reply says whether its site must not be shown alone.
        """
        content = CountRequest(runs[0], "test", tuple(runs)).to_content()
        return self.ask(content, COUNT_TYPE, sites, self._counted)

    def count_all(self, runs: Runs, sites: Sequence[str]) -> Histogram:
        """The patients of all these sites together."""
        counts = (reply.histogram for reply in self.count(runs, sites).values())
        return summed(one for one in counts if isinstance(one, Histogram))

    def compare(
        self, first: Sequence[Runs], second: Sequence[Runs], sites: Sequence[str]
    ) -> PairedRepeats | None:
        """Two arms in the patients of these sites, an entry a repeat; None without both classes."""
        of_first = tuple(self.count_all(runs, sites) for runs in first)
        of_second = tuple(self.count_all(runs, sites) for runs in second)
        request = CompareRequest(
            first[0][0], "test", _tuples(first), _tuples(second), of_first, of_second
        )
        return self._test(request, of_second, sites)

    def compare_grade(
        self,
        repeats: Sequence[Runs],
        sites: Sequence[str],
        models: Sequence[Histogram],
        grades: GradeCounts,
    ) -> PairedRepeats | None:
        """An arm against the grade; `models`, one a repeat, and `grades` are of all who have one.

        `sites` are those with a grade. None without both classes.
        """
        request = CompareRequest(repeats[0][0], "test", _tuples(repeats), (), tuple(models), grades)
        return self._test(request, [grades.histogram()] * len(repeats), sites)

    def _counted(self, content: RecordDict) -> EvaluateReply:
        return EvaluateReply.from_content(content, self.outcome)

    def _test(
        self, request: CompareRequest, pooled_b: Sequence[Histogram], sites: Sequence[str]
    ) -> PairedRepeats | None:
        areas = [
            (a, b)
            for of_a, of_b in zip(request.pooled_a, pooled_b, strict=True)
            if (a := auroc(of_a)) is not None and (b := auroc(of_b)) is not None
        ]
        if len(areas) < request.repeats:
            return None
        empty = PairedSums.empty(placements(request.pooled_a[0]), request.repeats)

        def read(content: RecordDict) -> PairedSums:
            return fitting_sums(CompareReply.from_content(content), empty)

        sums = self.ask(request.to_content(), MESSAGE_TYPE, sites, read)
        try:
            means = delong_test(sum(sums.values(), start=empty))
        except ValueError as error:
            raise RunError(f"{', '.join(sums)} answered for other patients: {error}") from error
        return PairedRepeats(tuple(areas), means) if means else None

    def ask(
        self,
        content: RecordDict,
        message_type: str,
        sites: Sequence[str],
        read: Callable[[RecordDict], T],
    ) -> dict[str, T]:
        """What each of these sites answers; RunError where one does not."""
        names = {self.nodes[name]: name for name in sites}
        question = Question(message_type, "study", timeout=self.seconds)
        contents = dict.fromkeys(names, content)
        answers = ask(self.grid, contents, question, lambda _, reply: read(reply))
        said = said_by_all(answers, names, RunError)
        return {name: said[name] for name in sites}


def _tuples(repeats: Sequence[Runs]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(runs) for runs in repeats)


def open_sites(config: RunConfig, sites: Mapping[str, Path]) -> StudySites:
    """A grid over these folders; `config` is that of any of the study's runs."""
    folders = os.pathsep.join(str(path.absolute()) for path in sites.values())
    grid = local_grid(replace(config, sites=folders, pooled=False), len(sites))
    nodes = dict(zip(sites, sorted(grid.get_node_ids()), strict=True))
    return StudySites(grid, nodes, outcome=config.predicts)
