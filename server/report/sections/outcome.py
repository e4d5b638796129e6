"""The head of the page: what came out, in one sentence and a few figures."""

from __future__ import annotations

from server.report.data import CohortResults, Report
from server.report.html import Html, element, paragraph, tile
from server.report.numbers import (
    NOT_DEFINED,
    NOT_SHOWN,
    count,
    duration,
    in_words,
    interval,
    megabytes,
    metric,
    metric_interval,
    percent,
    share,
)
from server.results.quick import quick_look


def outcome(report: Report) -> Html:
    """Title, sentence, notice and key figures."""
    return element(
        "header",
        paragraph("FedThaw, report of a run", class_="kicker"),
        element("h1", report.run),
        paragraph(sentence(report), class_="outcome"),
        None if report.finished else _unfinished(report),
        paragraph(quick_look(report.config), class_="notice") if report.config.quick else None,
        paragraph(
            "For research. Not a medical device: no decision about a patient may rest on it.",
            class_="notice",
        ),
        _figures(report),
    )


def sentence(report: Report) -> str:
    """The outcome of the run in one sentence."""
    done, names = len(report.rounds), {name for r in report.rounds for name in r.sites}
    if not done:
        return "The run has begun; no round is finished yet."
    sites = in_words(len(names), "site", "sites")
    begun = f"{sites[0].upper()}{sites[1:]} trained one model"
    if not report.finished:
        begun += f" for {in_words(done, 'round', 'rounds')} of {report.planned_rounds} so far"
    else:
        begun += f" in {in_words(done, 'round', 'rounds')}"
    return f"{begun}; {_at(report.cohort, final=report.finished)}."


def _at(cohort: CohortResults | None, final: bool) -> str:
    if cohort is None or cohort.pooled is None:
        return "its performance is not shown, because it would reveal too few patients of a site"
    metrics = cohort.pooled
    if metrics.auroc is None:
        return "its AUROC is not defined, because the patients evaluated are all of one class"
    patients = (metrics.positives or 0) + (metrics.negatives or 0)
    which = "the model detected" if final else "before the last of them it detected"
    limits = interval(metrics.auroc_ci95, 2)
    return (
        f"in {patients:,} {cohort.title} {which} the finding with an AUROC of "
        f"{share(metrics.auroc, 2)} (95 % CI {limits})"
    )


def _unfinished(report: Report) -> Html:
    return paragraph(
        f"This run is not finished: {len(report.rounds)} of {report.planned_rounds} rounds are "
        "done. Everything below is what is there so far, of a model that still changes.",
        class_="notice unfinished",
    )


def _figures(report: Report) -> Html:
    metrics = report.cohort.pooled if report.cohort else None
    totals = report.totals
    moved = totals.bytes_moved
    full = totals.bytes_full_exchange
    patients = None
    if metrics is not None:
        patients = (
            f"{count(metrics.positives)} with the finding, {count(metrics.negatives)} without"
        )
    names = {name for r in report.rounds for name in r.sites}
    limits = None if metrics is None else metrics.auroc_ci95
    tiles = (
        ("AUROC", NOT_SHOWN if metrics is None else metric(metrics.auroc),
         f"95 % CI {metric_interval(limits)}" if limits else NOT_DEFINED if metrics else ""),
        ("Patients evaluated", _total(report.cohort), patients or ""),
        ("Sites", str(len(names)), f"at least {report.config.min_sites} a round"),
        ("Rounds", str(len(report.rounds)), f"of {report.planned_rounds} planned"),
        ("Data transferred", megabytes(moved),
         f"{percent(moved / full)} of a full exchange" if full else ""),
        ("Time", duration(totals.seconds), "at the coordinator"),
    )  # fmt: skip
    return element("dl", *(tile(*one) for one in tiles), class_="tiles")


def _total(cohort: CohortResults | None) -> str:
    if cohort is None or cohort.pooled is None:
        return NOT_SHOWN
    return count((cohort.pooled.positives or 0) + (cohort.pooled.negatives or 0))
