"""The page of an evaluation of several classes or labels: its head, and a section a cohort."""

from __future__ import annotations

from collections.abc import Sequence

from server.report.classes.distinguished import distinguished
from server.report.classes.performance import performance_part
from server.report.classes.reading import OWN_WORDS
from server.report.classes.words import View, patients_of
from server.report.data import ClassCohort
from server.report.estimates import with_interval
from server.report.external.outcome import notices, title_of
from server.report.html import Html, element, figure, joined, paragraph, section, table, tile
from server.report.numbers import NOT_SHOWN, count, in_words, metric, metric_interval
from server.report.plot import Row, forest
from server.results.external import ALL, ClassCohortOutcome, ClassEvaluation, ClassSubgroup
from server.results.shown import Audience
from shared.limits import MIN_CELL
from shared.outcome.registry import parse_outcome

_COLUMNS = {
    "classes": ("accuracy", "balanced_accuracy", "kappa", "f1", "brier"),
    "ordinal": ("accuracy", "balanced_accuracy", "kappa_quadratic", "f1", "brier"),
    "labels": ("auprc", "balanced_accuracy", "f1", "brier"),
}
_WORDS = {
    "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "kappa": "kappa",
    "kappa_quadratic": "quadratic kappa", "f1": "F1", "brier": "Brier score", "auprc": "mean AUPRC",
}  # fmt: skip
Parts = Sequence[ClassCohortOutcome | ClassSubgroup]


def view_of(evaluation: ClassEvaluation) -> View:
    """What is predicted, and what is shown of it."""
    least = 0 if evaluation.audience is Audience.OWNER else MIN_CELL
    return View(parse_outcome(evaluation.outcome), least)


def class_evaluation_head(evaluation: ClassEvaluation) -> Html:
    """Title, sentence, notices and key figures."""
    tiles = [_area_tile(one) for one in evaluation.all]
    last = evaluation.all[-1].performance
    if last is not None:
        tiles.append(("Patients", patients_of(last.metrics), ""))
    return element(
        "header",
        paragraph(f"FedThaw, run {evaluation.run}", class_="kicker"),
        element("h1", title_of(evaluation)),
        paragraph(_sentence(evaluation), class_="outcome"),
        *notices(evaluation),
        element("dl", *(tile(*one) for one in tiles), class_="tiles"),
    )


def _area_tile(one: ClassCohortOutcome) -> tuple[str, str, str]:
    if one.performance is None:
        return f"Mean AUROC, {one.name}", NOT_SHOWN, ""
    found = one.performance.metrics
    limits = f"95 % CI {metric_interval(found.auroc_ci95)}" if found.auroc_ci95 else ""
    return f"Mean AUROC, {one.name}", metric(found.auroc), limits


def _sentence(evaluation: ClassEvaluation) -> str:
    cohorts, one = len(evaluation.cohorts), evaluation.all[-1]
    where = one.name if cohorts == 1 else f"{in_words(cohorts, 'cohort', 'cohorts')} together"
    if one.performance is None:
        return f"The result in {where} is not shown: it would reveal too few patients."
    found = one.performance.metrics
    said, _ = distinguished(parse_outcome(evaluation.outcome), found.auroc, found.auroc_ci95)
    return f"Among {patients_of(found)} patients of {where}, the model {said}."


def class_comparison_section(evaluation: ClassEvaluation) -> Html:
    """A row for each cohort, and the mean areas of all."""
    return section(
        "cohorts",
        "Side by side",
        _table(evaluation, "The model at each cohort", "cohort", evaluation.all),
        _areas(evaluation),
        paragraph(
            f"{ALL[0].upper()}{ALL[1:]}: the patients of every cohort in one, each with the scores "
            "of the same model. A mean AUROC is over the classes, cuts or labels of which a cohort "
            "has patients on both sides, so cohorts that lack a class have another mean.",
            class_="note",
        ),
    )


def _areas(evaluation: ClassEvaluation) -> Html | None:
    """None where no cohort is shown."""
    shown = [(one.name, one.performance.metrics) for one in evaluation.all if one.performance]
    rows = [Row(name, one.auroc, one.auroc_ci95) for name, one in shown if one.auroc is not None]
    if not rows:
        return None
    plot = forest(
        rows, "mean AUROC", 0.5, "areas", "The mean AUROC of each cohort with its 95 % CI."
    )
    numbers = [(row.label, metric(row.value), metric_interval(row.interval)) for row in rows]
    return figure(
        plot,
        "Mean AUROC of each cohort with its 95 % CI; the dotted line is chance.",
        table("Mean AUROC by cohort", ("cohort", "mean AUROC", "95 % CI"), numbers),
    )


def class_cohort_section(
    evaluation: ClassEvaluation, cohort: ClassCohortOutcome, identifier: str
) -> Html:
    """All that is known of the model at these patients."""
    found = cohort.performance
    if found is None:
        text = "Not shown: it would reveal too few patients of this cohort."
        return section(identifier, cohort.name, paragraph(text))
    images = NOT_SHOWN if cohort.images is None else count(cohort.images)
    who = (
        f"{patients_of(found.metrics)} patients ({images} images); outcome: "
        f"{cohort.finding}. A patient's scores are the mean probabilities of the patient's images."
    )
    shown = ClassCohort(identifier, found.metrics, {}, found.splits, words=cohort.name)
    columns = dict.fromkeys(one.column for one in cohort.subgroups)
    return section(
        identifier,
        cohort.name,
        paragraph(who),
        performance_part(view_of(evaluation), shown, found.metrics),
        *(
            _table(evaluation, f"{cohort.name} by {column}", column,
                   [one for one in cohort.subgroups if one.column == column])
            for column in columns
        ),
    )  # fmt: skip


def _table(evaluation: ClassEvaluation, caption: str, head: str, parts: Parts) -> Html:
    names = _COLUMNS[view_of(evaluation).kind]
    rows = [(one.title, *_cells(one, names)) for one in parts]
    columns = (head, "patients", "mean AUROC", *(_WORDS[name] for name in names))
    return table(f"{caption}, with 95 % CIs", columns, rows)


def _cells(one: ClassCohortOutcome | ClassSubgroup, names: Sequence[str]) -> tuple[str, ...]:
    if one.performance is None:
        return (NOT_SHOWN,) * (len(names) + 2)
    found = one.performance.metrics
    return (
        patients_of(found),
        *(
            with_interval(getattr(found, name), getattr(found, f"{name}_ci95", None))
            for name in ("auroc", *names)
        ),
    )


def class_reading_section(evaluation: ClassEvaluation) -> Html:
    """A list of terms, and for others the rule for small numbers."""
    terms = [*OWN_WORDS, *_TERMS]
    if evaluation.audience is Audience.OTHERS:
        terms.append(
            ("Not shown", f"Cohorts and subgroups with fewer than {MIN_CELL} patients of a class, "
             "or than the cohort's own min-cell, and those from which such a group could be "
             "computed; 'other groups' stands for all of a column. A class or label of which all "
             "cohorts together have fewer is left out of every number, a class with all its "
             "patients.")
        )  # fmt: skip
    items = [joined(element("dt", name), element("dd", text)) for name, text in terms]
    return section("reading", "Reading this page", element("dl", *items, class_="card"))


_TERMS = (
    ("Nothing chosen here", "A patient is predicted to be of the class with the highest "
     "probability, of ordered classes to be above each with a probability of one half, and to have "
     "a label from one half on. No threshold was chosen on these patients."),
    ("Subgroups", "Each patient is in one group of a column. 'several': the patient's images "
     "differ in it; 'not stated': no value. CIs are not corrected for the number of groups, and a "
     "difference between groups was not tested."),
    ("Intended use", "Research. It is not a medical device; no decision about a patient may rest "
     "on it."),
)  # fmt: skip
