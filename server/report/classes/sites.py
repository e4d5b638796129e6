"""The model of several classes or labels at each site, and what each site contributed."""

from __future__ import annotations

from server.report.classes.words import mean_of_fewer, patients_of
from server.report.data import ClassCohort, Report
from server.report.estimates import with_interval
from server.report.html import Html, paragraph, section, table
from server.report.numbers import NOT_SHOWN, metric
from server.report.sections.sites import contributions, why_hidden
from shared.metrics.classes.results import ClassMetrics, LabelMetrics


def class_sites_section(report: Report) -> Html:
    """Performance by site for every cohort, and the contributions."""
    if not report.rounds and not report.classes:
        return section("sites", "Sites", paragraph("No round is finished yet."))
    hidden = any(None in (one.pooled, *one.sites.values()) for one in report.classes)
    return section(
        "sites",
        "Sites",
        *(_performance(report, cohort) for cohort in report.classes),
        *(_of_fewer(report, cohort) for cohort in report.classes),
        why_hidden(report) if hidden else None,
        contributions(report),
    )


def _performance(report: Report, cohort: ClassCohort) -> Html:
    head = _columns(report)
    rows = [("all sites", *_cells(cohort.pooled, head))]
    rows += [(name, *_cells(metrics, head)) for name, metrics in cohort.sites.items()]
    columns = ("site", "patients", *(words for words, _ in head))
    return table(f"Performance by site, {cohort.title}", columns, rows)


def _of_fewer(report: Report, cohort: ClassCohort) -> Html | None:
    areas = {name: own.auroc_of for name, own in cohort.sites.items() if own is not None}
    own = None if cohort.pooled is None else cohort.pooled.auroc_of
    said = mean_of_fewer(report.config.predicts.kind, own, areas)
    return None if said is None else paragraph(said, class_="note")


def _columns(report: Report) -> tuple[tuple[str, str], ...]:
    """Their words and the metrics' names."""
    own = {
        "classes": (("accuracy", "accuracy"), ("kappa", "kappa")),
        "ordinal": (("accuracy", "accuracy"), ("quadratic kappa", "kappa_quadratic")),
        "labels": (("mean AUPRC", "auprc"),),
    }[report.config.predicts.kind]
    common = ("balanced accuracy", "balanced_accuracy"), ("F1", "f1"), ("Brier score", "brier")
    return (("mean AUROC", "auroc"), *own, *common)


def _cells(
    metrics: ClassMetrics | LabelMetrics | None, columns: tuple[tuple[str, str], ...]
) -> tuple[str, ...]:
    if metrics is None:
        return (NOT_SHOWN,) * (len(columns) + 1)
    return (
        patients_of(metrics),
        *(
            with_interval(getattr(metrics, name), getattr(metrics, f"{name}_ci95", None))
            if name == "auroc"
            else metric(getattr(metrics, name))
            for _, name in columns
        ),
    )
