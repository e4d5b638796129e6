"""The final model at the patients it was evaluated on, by class, cut or label."""

from __future__ import annotations

from server.report.classes.confusion import confusion_figure
from server.report.classes.curves import class_reliability_figure, class_roc_figure
from server.report.classes.words import View, split_name, view_of
from server.report.data import ClassCohort, Report
from server.report.estimates import with_interval
from server.report.html import Html, element, joined, paragraph, section, table
from server.report.numbers import NOT_SHOWN, count, in_words, metric
from shared.limits import MIN_CELL
from shared.metrics.classes.results import ClassMetrics, LabelMetrics
from shared.metrics.summary import BinaryMetrics


def class_performance_section(report: Report) -> Html:
    """One part for each cohort; a sentence where nothing was evaluated."""
    if not report.classes:
        text = "No round is finished yet, so no model has been evaluated."
        return section("performance", "Performance", paragraph(text))
    parts = [_part(view_of(report), cohort) for cohort in report.classes]
    return section("performance", "Performance", *parts)


def _part(view: View, cohort: ClassCohort) -> Html:
    heading = element("h3", cohort.title[0].upper() + cohort.title[1:])
    if cohort.pooled is None:
        return joined(heading, paragraph("Not shown: it would reveal too few patients of a site."))
    return joined(heading, performance_part(view, cohort, cohort.pooled))


def performance_part(view: View, cohort: ClassCohort, metrics: ClassMetrics | LabelMetrics) -> Html:
    """Tables and figures of a cohort that is shown."""
    if isinstance(metrics, LabelMetrics):
        tables = joined(_labels_in_mean(metrics, cohort), _labels(metrics, cohort))
    else:
        tables = joined(_overall(view, metrics, cohort), _classes(view, metrics, cohort),
                        _cuts(view, metrics, cohort))  # fmt: skip
    plots = joined(
        confusion_figure(view, cohort),
        class_roc_figure(view, cohort),
        class_reliability_figure(view, cohort),
    )
    return joined(tables, _left_out(metrics), element("div", plots, class_="plots"))


def _overall(view: View, metrics: ClassMetrics, cohort: ClassCohort) -> Html:
    number, ordinal = metrics.auroc_of or 0, view.kind == "ordinal"
    of = in_words(number, "cut", "cuts") if ordinal else in_words(number, "class", "classes")
    rows = [
        (f"AUROC, mean over {of}", with_interval(metrics.auroc, metrics.auroc_ci95)),
        ("AUROC, weighted by patients",
         with_interval(metrics.auroc_weighted, metrics.auroc_weighted_ci95)),
    ]  # fmt: skip
    if ordinal:
        rows.append(
            ("quadratic weighted kappa",
             with_interval(metrics.kappa_quadratic, metrics.kappa_quadratic_ci95))
        )  # fmt: skip
    else:
        rows.append(
            ("AUROC, mean over pairs of classes (Hand and Till)",
             with_interval(metrics.auroc_one_vs_one, metrics.auroc_one_vs_one_ci95))
        )  # fmt: skip
    rows += [
        ("accuracy", with_interval(metrics.accuracy, metrics.accuracy_ci95)),
        ("balanced accuracy",
         with_interval(metrics.balanced_accuracy, metrics.balanced_accuracy_ci95)),
        ("kappa", with_interval(metrics.kappa, metrics.kappa_ci95)),
        ("F1, mean over classes", metric(metrics.f1)),
        ("Brier score, mean", metric(metrics.brier)),
        ("calibration error, mean", metric(metrics.ece)),
    ]  # fmt: skip
    return table(f"All classes, {cohort.title}", ("measure", "value (95 % CI)"), rows)


def _classes(view: View, metrics: ClassMetrics, cohort: ClassCohort) -> Html:
    scored = view.kind != "ordinal"
    rows = [
        (
            name,
            count(one.support),
            *([_shown(one.support, with_interval(one.auroc, one.auroc_ci95))] if scored else []),
            _shown(one.support, with_interval(one.sensitivity, one.sensitivity_ci95)),
            _shown(one.support, with_interval(one.precision, one.precision_ci95)),
            _shown(one.support, metric(one.f1)),
            *([_shown(one.support, metric(one.brier))] if scored else []),
            *([_shown(one.support, metric(one.ece))] if scored else []),
        )
        for name, one in metrics.classes.items()
    ]
    head = (
        "class", "patients", *(["AUROC against the rest"] if scored else []), "sensitivity",
        "precision", "F1", *(["Brier score", "calibration error"] if scored else []),
    )  # fmt: skip
    return table(f"Each class, {cohort.title}, with 95 % CIs", head, rows)


def _cuts(view: View, metrics: ClassMetrics, cohort: ClassCohort) -> Html | None:
    if not metrics.cuts:
        return None
    rows = [
        (
            split_name(view, name),
            count(one.positives),
            count(one.negatives),
            _shown(one.positives, with_interval(one.auroc, one.auroc_ci95)),
            _shown(one.positives, metric(one.brier)),
            _shown(one.positives, metric(one.ece)),
        )
        for name, one in metrics.cuts.items()
    ]
    head = ("cut", "patients above", "patients below", "AUROC", "Brier score", "calibration error")
    return table(f"Each cut between lower and higher classes, {cohort.title}", head, rows)


def _labels_in_mean(metrics: LabelMetrics, cohort: ClassCohort) -> Html:
    of = in_words(metrics.auroc_of or 0, "label", "labels")
    rows = [
        (f"AUROC, mean over {of}", with_interval(metrics.auroc, metrics.auroc_ci95)),
        ("AUPRC, mean", with_interval(metrics.auprc, metrics.auprc_ci95)),
        ("balanced accuracy, mean", metric(metrics.balanced_accuracy)),
        ("F1, mean", metric(metrics.f1)),
        ("Brier score, mean", metric(metrics.brier)),
        ("calibration error, mean", metric(metrics.ece)),
    ]
    return table(f"All labels, {cohort.title}", ("measure", "value (95 % CI)"), rows)


def _labels(metrics: LabelMetrics, cohort: ClassCohort) -> Html:
    rows = [(name, *_label(one)) for name, one in metrics.labels.items()]
    head = (
        "label", "with it", "without", "AUROC", "AUPRC", "sensitivity", "specificity",
        "F1", "Brier score", "calibration error",
    )  # fmt: skip
    return table(f"Each label, {cohort.title}, with 95 % CIs", head, rows)


def _label(one: BinaryMetrics) -> tuple[str, ...]:
    values = (one.auprc, one.sensitivity, one.specificity, one.f1, one.brier, one.ece)
    return (
        count(one.positives),
        count(one.negatives),
        _shown(one.positives, with_interval(one.auroc, one.auroc_ci95)),
        *(_shown(one.positives, metric(value)) for value in values),
    )


def _shown(patients: int | None, text: str) -> str:
    return NOT_SHOWN if patients is None else text


def _left_out(metrics: ClassMetrics | LabelMetrics) -> Html | None:
    if isinstance(metrics, LabelMetrics):
        hidden = [name for name, one in metrics.labels.items() if one.positives is None]
    else:
        hidden = [name for name, one in metrics.classes.items() if one.support is None]
    if not hidden:
        return None
    return paragraph(
        f"Left out of every number, with all its patients, as all sites together have fewer than "
        f"{MIN_CELL}: {', '.join(hidden)}.",
        class_="note",
    )
