"""Two scorings of the same patients: the sums of which a paired comparison is made."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from client.handlers.check import check_held_out, unless_few
from client.handlers.evaluate import must_suppress
from client.scores import KeptScore, count_graded, load_scores, scores_file
from client.workspace import Workspace
from shared.errors import ProtocolError, SiteError
from shared.limits import DAYS_KEPT
from shared.metrics.classes.paired import NEITHER, sums_of_repeats
from shared.metrics.grades import GradeCounts
from shared.metrics.histogram import bin_of_probability
from shared.metrics.paired import PairedSums, placements
from shared.protocol.compare import CompareReply, CompareRequest, CountRequest
from shared.protocol.contrasts import ContrastReply, ContrastRequest
from shared.protocol.evaluate import EvaluateReply, Scope

Scores = dict[tuple[str, str], KeptScore]


def compare_on_site(workspace: Workspace, request: CompareRequest) -> CompareReply:
    """Add up this site's patients' places under both scorings; nothing of one patient leaves."""
    repeats_a = [_scores(workspace, runs, request.scope) for runs in request.runs_a]
    first = repeats_a[0]
    if isinstance(request.pooled_b, GradeCounts):
        if not workspace.covariate_is_grade:
            raise ProtocolError("this site has no clinical grade to compare with")
        first = {key: score for key, score in first.items() if score.grade is not None}
        repeats_a = [{key: one[key] for key in first if key in one} for one in repeats_a]
        repeats_b = [_grade_bins(first, request.pooled_b)] * request.repeats
        pooled_b = [request.pooled_b.histogram()] * request.repeats
    else:
        scored_b = [_scores(workspace, runs, request.scope) for runs in request.runs_b]
        repeats_b = [_bins_of_same(first, scores) for scores in scored_b]
        pooled_b = list(request.pooled_b)
    check_held_out(workspace, len(first), request.scope)
    try:
        sums = PairedSums.of_repeats(
            [_bins_of_same(first, scores) for scores in repeats_a],
            repeats_b,
            [score.label for score in first.values()],
            [placements(one) for one in request.pooled_a],
            [placements(one) for one in pooled_b],
        )
    except ValueError as error:
        raise ProtocolError(f"the scorings cannot be compared: {error}") from error
    return CompareReply(workspace.name, sums)


def compare_contrasts_on_site(workspace: Workspace, request: ContrastRequest) -> ContrastReply:
    """Add up what this site's patients add to the errors of both scorings' mean AUROCs.

    Of several classes or labels; patients of classes that are not compared are left out.
    """
    repeats_a, repeats_b = (
        [_scores(workspace, runs, request.scope) for runs in by_repeat]
        for by_repeat in (request.runs_a, request.runs_b)
    )
    first = repeats_a[0]
    for other in (*repeats_a, *repeats_b):
        _require_same(first, other)
    every = {key: _sides(workspace, one.label, request.kept) for key, one in first.items()}
    sides = {key: own for key, own in every.items() if set(own) != {NEITHER}}
    check_held_out(workspace, len(sides), request.scope)
    shape = len(sides), workspace.outcome.outputs
    try:
        sums = sums_of_repeats(
            [_bins_of(one, sides).reshape(shape) for one in repeats_a],
            [_bins_of(one, sides).reshape(shape) for one in repeats_b],
            np.array(list(sides.values()), dtype=np.int64).reshape(shape),
            request.pooled_a,
            request.pooled_b,
        )
    except ValueError as error:
        raise ProtocolError(f"the scorings cannot be compared: {error}") from error
    return ContrastReply(workspace.name, sums)


def _sides(workspace: Workspace, label: int, kept: Collection[int]) -> list[int]:
    """The patient's side by each score: 1 where it should be high, 0 low, NEITHER not compared."""
    outcome = workspace.outcome
    sides = [NEITHER if one is None else int(one) for one in outcome.sides(label)]
    if outcome.exclusive:
        return sides if label in kept else [NEITHER] * len(sides)
    return [one if n in kept else NEITHER for n, one in enumerate(sides)]


def _bins_of(scores: Scores, patients: Collection[tuple[str, str]]) -> NDArray[np.int64]:
    own = np.array([scores[key].scores for key in patients], dtype=np.float64)
    return np.asarray(bin_of_probability(own), dtype=np.int64)


def count_on_site(workspace: Workspace, request: CountRequest) -> EvaluateReply:
    """Patients by score and class over several runs, each patient in one of them."""
    scores = _scores(workspace, request.runs, request.scope)
    check_held_out(workspace, len(scores), request.scope)
    counts = workspace.outcome.count(list(scores.values()))
    graded = count_graded(
        list(scores.values()), is_grade=workspace.covariate_is_grade, outcome=workspace.outcome
    )
    return EvaluateReply(
        site=workspace.name,
        histogram=counts,
        suppress=must_suppress(counts, workspace.min_cell),
        seconds=0.0,
        graded=unless_few(workspace, graded),
    )


def _scores(workspace: Workspace, runs: Sequence[str], scope: Scope) -> Scores:
    """The scores of several runs, one a fold, each patient in one of them."""
    found: Scores = {}
    for run in runs:
        for score in _scores_of_run(workspace, run, scope):
            if score.key in found:
                raise ProtocolError("a patient is scored by two of the runs to be pooled")
            found[score.key] = score
    return found


def _scores_of_run(workspace: Workspace, run: str, scope: Scope) -> list[KeptScore]:
    """Of all owners, whose data may be pooled."""
    found = []
    for part in workspace.parts:
        scores = load_scores(scores_file(part.run_folder(run), scope))
        if scores is None:
            raise SiteError(
                f"{part.settings.name} has no scores of run {run} any more (its cache was cleared, "
                f"or they are over {DAYS_KEPT} days old); run it again to compare it.",
                shareable="it has no scores of one of the runs any more; run that again",
            )
        found += scores
    return found


def _bins_of_same(first: Scores, second: Scores) -> list[int]:
    """The second's bins in the order of the first, whose patients must be the same."""
    _require_same(first, second)
    return [second[key].bin for key in first]


def _require_same(first: Scores, second: Scores) -> None:
    if first.keys() != second.keys() or any(first[key].label != second[key].label for key in first):
        raise SiteError(
            "The runs scored other patients: images or outcomes of this site have changed "
            "between them, so they cannot be compared.",
            shareable="its patients or outcomes have changed between the runs compared",
        )


def _grade_bins(first: Scores, pooled: GradeCounts) -> list[int]:
    levels = {level: number for number, level in enumerate(pooled.levels)}
    bins = [levels.get(score.grade or 0.0) for score in first.values()]
    if None in bins:
        raise ProtocolError("the coordinator's grades lack one of this site's")
    return [number for number in bins if number is not None]
