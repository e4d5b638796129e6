"""All cohorts side by side: curves, areas and the table."""

from __future__ import annotations

from collections.abc import Sequence

from server.report.external.cells import performance_table
from server.report.external.roc import overview_figure
from server.report.html import Html, element, figure, paragraph, section, table
from server.report.numbers import metric, metric_interval
from server.report.plot import Row, forest
from server.results.external import ALL, CohortOutcome, ExternalEvaluation


def comparison_section(evaluation: ExternalEvaluation) -> Html:
    """A row for each cohort, the curves of all, and their areas."""
    plots = overview_figure(evaluation.cohorts), _areas(evaluation.all)
    return section(
        "cohorts",
        "Side by side",
        performance_table("The model at each cohort, with 95 % CIs", "cohort", evaluation.all),
        element("div", *plots, class_="plots"),
        paragraph(
            f"{ALL[0].upper()}{ALL[1:]}: the patients of every cohort in one, each with the score "
            "of the same model. Where prevalence or level of the scores differ between cohorts, "
            "this AUROC may lie outside theirs.",
            class_="note",
        ),
    )


def _areas(cohorts: Sequence[CohortOutcome]) -> Html | None:
    """None where no cohort is shown."""
    rows = [
        Row(one.name, one.performance.auroc.value, one.performance.auroc.ci95)
        for one in cohorts
        if one.performance is not None and one.performance.auroc.value is not None
    ]
    if not rows:
        return None
    plot = forest(
        rows, "AUROC", 0.5, "areas", "The area under the ROC curve of each cohort with its 95 % CI."
    )
    numbers = [(row.label, metric(row.value), metric_interval(row.interval)) for row in rows]
    return figure(
        plot,
        "Area under the ROC curve of each cohort with its 95 % CI; the dotted line is chance.",
        table("AUROC by cohort", ("cohort", "AUROC", "95 % CI"), numbers),
    )
