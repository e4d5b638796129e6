"""The head of the page: what came out, in a sentence and a few figures."""

from __future__ import annotations

from server.report.discrimination import discrimination
from server.report.html import Html, element, paragraph, tile
from server.report.numbers import (
    NOT_SHOWN,
    count,
    in_words,
    metric,
    metric_interval,
)
from server.report.sections.outcome import NOTICE
from server.results.external import AnyEvaluation, CohortOutcome, ExternalEvaluation
from server.results.shown import Audience

_OWNER = (
    "For the owner of these folders: nothing is hidden or rounded on this page or in the files "
    "next to it, however few patients it reveals. With --for-others, fedthaw evaluate writes what "
    "may be handed on."
)
_OTHERS = (
    "For others: what would reveal few patients is hidden, the rest is rounded, and curves are in "
    "groups of patients."
)


def evaluation_outcome(evaluation: ExternalEvaluation) -> Html:
    """Title, sentence, notices and key figures."""
    return element(
        "header",
        paragraph(f"FedThaw, run {evaluation.run}", class_="kicker"),
        element("h1", title_of(evaluation)),
        paragraph(_sentence(evaluation), class_="outcome"),
        *notices(evaluation),
        _figures(evaluation),
    )


def notices(evaluation: AnyEvaluation) -> list[Html]:
    """What makes the numbers unreliable, and whom they are for."""
    remarks = {remark: None for one in evaluation.all for remark in one.remarks}
    own = evaluation.audience is Audience.OWNER
    return [
        *(paragraph(remark, class_="notice unfinished") for remark in remarks),
        paragraph(NOTICE, class_="notice"),
        paragraph(_OWNER if own else _OTHERS, class_="notice"),
    ]


def title_of(evaluation: AnyEvaluation) -> str:
    """The finding and the run's name."""
    kind = "external validation" if evaluation.is_external else "evaluation, not external,"
    return f"{', '.join(evaluation.findings)}: {kind} of {evaluation.name}"


def _sentence(evaluation: ExternalEvaluation) -> str:
    """What the model did at all cohorts, or at the one."""
    cohorts = len(evaluation.cohorts)
    one = evaluation.all[-1]
    found = one.performance
    where = one.name if cohorts == 1 else f"{in_words(cohorts, 'cohort', 'cohorts')} together"
    if found is None:
        return f"The result in {where} is not shown: it would reveal too few patients."
    if found.auroc.value is None:
        return (
            f"The {found.patients:,} patients of {where} are all of one class, so that there is "
            "no AUROC."
        )
    said = discrimination(found.auroc.value, found.auroc.ci95, " or ".join(evaluation.findings))
    return f"Among {found.patients:,} patients of {where}, the model {said}."


def _figures(evaluation: ExternalEvaluation) -> Html:
    tiles: list[tuple[str, str, str]] = []
    for one in evaluation.all:
        found = one.performance
        if found is None:
            tiles.append((f"AUROC, {one.name}", NOT_SHOWN, ""))
            continue
        tiles.append(
            (
                f"AUROC, {one.name}",
                metric(found.auroc.value),
                f"95 % CI {metric_interval(found.auroc.ci95)}" if found.auroc.ci95 else "",
            )
        )
    tiles.append(_patients(evaluation.all[-1]))
    return element("dl", *(tile(*one) for one in tiles), class_="tiles")


def _patients(cohort: CohortOutcome) -> tuple[str, str, str]:
    found = cohort.performance
    if found is None:
        return "Patients", NOT_SHOWN, ""
    return (
        "Patients",
        count(found.patients),
        f"{count(found.positives)} with the finding, {count(found.negatives)} without",
    )
