"""A finished run's model on cohorts of this machine, from what is asked to its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from server.disclosure.class_external import shown_class_evaluation
from server.disclosure.evaluations import ShownEvaluations, digests
from server.disclosure.external import shown_evaluation
from server.disclosure.register import Register, register_path
from server.evaluation.external import score_cohorts
from server.external.cohorts import ScoredCohort, evaluate_cohorts
from server.external.document import class_document, to_json
from server.external.place import place_for, write_documents
from server.external.subgroups import Column, assign
from server.external.tables import metrics_csv, reliability_csv, roc_csv
from server.results.external import AnyEvaluation, Chosen, ClassEvaluation, ExternalEvaluation
from server.results.shown import Audience, Shown
from shared.run.finished import read_finished_run
from shared.run.score_table import FILE as SCORES
from shared.run.score_table import scores_csv

DOCUMENT, METRICS, PAGE = (
    "evaluation.json", "metrics.csv", "report.html",
)  # fmt: skip


@dataclass(frozen=True)
class Written:
    """An evaluation, the scores that it is of, and its folder, None where none was asked for."""

    result: AnyEvaluation
    scored: tuple[ScoredCohort, ...]
    folder: Path | None


def evaluate(
    run: Path,
    cohorts: Sequence[Path],
    columns: Sequence[Column] = (),
    *,
    out: Path | None = None,
    write: bool = True,
    for_others: bool = False,
) -> Written:
    """Evaluate the cohorts one after the other, and write what was found.

    Without `write` nothing is written. The patients' scores are written for the owner alone, never
    with `for_others`. Raises as `score_cohorts` and `place_for`.
    """
    audience = Audience.OTHERS if for_others else Audience.OWNER
    if not write:
        scored = score_cohorts(run, cohorts, columns)
        return Written(_shown(run, scored, columns, audience).value, scored, None)
    with place_for(run, cohorts, out) as folder:
        scored = score_cohorts(run, cohorts, columns)
        shown = _shown(run, scored, columns, audience)
        write_documents(folder, _documents(shown, scored, columns))
    return Written(shown.value, scored, folder)


def _shown(
    run: Path, scored: Sequence[ScoredCohort], columns: Sequence[Column], audience: Audience
) -> Shown[ExternalEvaluation] | Shown[ClassEvaluation]:
    limits = {one.scores.site: one.scores.min_cell for one in scored}
    exact = evaluate_cohorts(read_finished_run(run), run.absolute().name, scored, columns)
    register = Register(register_path(run)) if audience is Audience.OTHERS else Register()
    data = digests(scored, columns)
    if isinstance(exact, ClassEvaluation):
        earlier = ShownEvaluations(exact.run, register, data, exact.outcome)
        return shown_class_evaluation(exact, audience, limits, earlier)
    return shown_evaluation(exact, audience, limits, ShownEvaluations(exact.run, register, data))


def _documents(
    shown: Shown[ExternalEvaluation] | Shown[ClassEvaluation],
    scored: Sequence[ScoredCohort],
    columns: Sequence[Column],
) -> dict[str, str]:
    # Imported when the scores are there: the drawing library takes its time.
    from server.external.class_tables import class_metrics_csv, class_roc_csv
    from server.report.external.page import class_evaluation_page, evaluation_page

    if isinstance(shown.value, ClassEvaluation):
        documents = {
            METRICS: class_metrics_csv(shown),
            "roc.csv": class_roc_csv(shown),
            PAGE: class_evaluation_page(shown),
        }
        document = class_document(shown)
    else:
        documents = {
            METRICS: metrics_csv(shown),
            "roc.csv": roc_csv(shown),
            "reliability.csv": reliability_csv(shown),
            PAGE: evaluation_page(shown),
        }
        document = to_json(shown)
    if shown.value.audience is Audience.OWNER:
        documents[SCORES] = _scores(scored, shown.value.chosen, columns)
    # Last: with it the evaluation is complete.
    return {**documents, DOCUMENT: document}


def _scores(scored: Sequence[ScoredCohort], chosen: Chosen, columns: Sequence[Column]) -> str:
    files = [one.scores for one in scored]
    groups = [{column.name: assign(column, file.patients) for column in columns} for file in files]
    return scores_csv(files, chosen.recalibration, groups)
