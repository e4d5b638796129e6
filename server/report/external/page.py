"""The page of an evaluation: all cohorts side by side, then a section for each."""

from __future__ import annotations

from server.report.external.classes import (
    class_cohort_section,
    class_comparison_section,
    class_evaluation_head,
    class_reading_section,
)
from server.report.external.cohort import cohort_section
from server.report.external.comparison import comparison_section
from server.report.external.outcome import evaluation_outcome, title_of
from server.report.external.reading import reading_section
from server.report.html import Html
from server.report.page import page
from server.results.external import ClassEvaluation, ExternalEvaluation
from server.results.shown import Shown


def class_evaluation_page(shown: Shown[ClassEvaluation]) -> str:
    """The page of several classes or labels."""
    evaluation = shown.value
    sections: list[tuple[str, str, Html]] = []
    if evaluation.pooled is not None:
        sections.append(("cohorts", "Side by side", class_comparison_section(evaluation)))
    for number, cohort in enumerate(evaluation.all, start=1):
        place = f"cohort-{number}"
        sections.append((place, cohort.name, class_cohort_section(evaluation, cohort, place)))
    sections.append(("reading", "Reading this page", class_reading_section(evaluation)))
    return page(title_of(evaluation), class_evaluation_head(evaluation), sections)


def evaluation_page(shown: Shown[ExternalEvaluation]) -> str:
    """The page, complete in itself: no script, and nothing that is fetched."""
    evaluation = shown.value
    sections: list[tuple[str, str, Html]] = []
    if evaluation.pooled is not None:
        sections.append(("cohorts", "Side by side", comparison_section(evaluation)))
    sections += [
        (f"cohort-{number}", cohort.name, cohort_section(evaluation, cohort, f"cohort-{number}"))
        for number, cohort in enumerate(evaluation.all, start=1)
    ]
    sections.append(("reading", "Reading this page", reading_section(evaluation)))
    return page(title_of(evaluation), evaluation_outcome(evaluation), sections)
