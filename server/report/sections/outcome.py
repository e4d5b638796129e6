"""The head of the page: what came out, in one sentence and a few figures."""

from __future__ import annotations

from collections.abc import Sequence

from server.report.data import CohortResults, Report
from server.report.discrimination import discrimination
from server.report.html import Html, element, paragraph, tile
from server.report.numbers import (
    NOT_DEFINED,
    NOT_SHOWN,
    capitalised,
    count,
    duration,
    in_words,
    megabytes,
    metric,
    metric_interval,
    percent,
)
from server.results.quick import quick_look
from shared.metrics.summary import BinaryMetrics
from shared.settings.schedule import may_end_early, total_rounds

NOTICE = "For research. Not a medical device: no decision about a patient may rest on it."
NOTHING_YET = "The run has begun; no round is finished yet."
FEW = 10
"""Patients of a class, below which a few more or less make another result."""


def title_of(report: Report) -> str:
    """What is predicted and the run's name, for heading and window."""
    run = f"run {report.name or report.run}"
    return f"{report.finding}, {run}" if report.finding else capitalised(run)


def outcome(report: Report) -> Html:
    """Title, sentence, notices and key figures."""
    metrics = report.cohort.pooled if report.cohort else None
    few = _few_patients(metrics) if metrics else None
    return head(report, sentence(report), few, _figures(report))


def head(
    report: Report, said: str, few: str | None, figures: Sequence[tuple[str, str, str]]
) -> Html:
    """The head with this sentence, a notice of few patients, and these key figures before the
    others.
    """
    identifier = "" if report.run == report.name else f", {report.run}"
    return element(
        "header",
        paragraph(f"FedThaw, report of a run{identifier}", class_="kicker"),
        element("h1", title_of(report)),
        paragraph(said or NOTHING_YET, class_="outcome"),
        _baseline(report) if report.config.schedule == "logistic" else None,
        None if report.finished else _unfinished(report),
        paragraph(few, class_="notice unfinished") if few else None,
        paragraph(quick_look(report.config), class_="notice") if report.config.quick else None,
        paragraph(NOTICE, class_="notice"),
        element("dl", *(tile(*one) for one in (*figures, *_common(report))), class_="tiles"),
    )


def sentence(report: Report) -> str:
    """The outcome of the run in a sentence or two."""
    return f"{who(report)}; {_at(report)}." if report.rounds else NOTHING_YET


def who(report: Report) -> str:
    """Who trained, and for how many rounds; of a run with rounds."""
    done, names = len(report.rounds), {name for r in report.rounds for name in r.sites}
    rounds = in_words(done, "round", "rounds")
    if report.finished:
        rounds = f"in {rounds}"
    else:
        rounds = f"for {rounds} of {report.planned_rounds} so far"
    return f"{_who(report, len(names))} {rounds}"


def _who(report: Report, sites: int) -> str:
    fitted = report.config.schedule == "logistic"
    model, made = ("logistic regression", "fitted") if fitted else ("model", "trained")
    if report.config.pooled:
        given = in_words(len(report.config.site_folders), "site", "sites")
        return f"One {model} was {made} on all data of {given} as if in one place,"
    if sites == 1:
        return f"One site {made} a {model} by itself"
    return f"{capitalised(in_words(sites, 'site', 'sites'))} {made} one {model}"


def _at(report: Report) -> str:
    cohort = report.cohort
    if cohort is None or cohort.pooled is None:
        return "its performance is not shown, because it would reveal too few patients of a site"
    metrics = cohort.pooled
    if metrics.auroc is None:
        return "its AUROC is not defined, because all patients evaluated are of one class"
    patients = (metrics.positives or 0) + (metrics.negatives or 0)
    which = "it" if report.finished else "before the last of them it"
    found = discrimination(
        metrics.auroc, metrics.auroc_ci95, report.finding or "the finding",
        advice=report.finished,
    )  # fmt: skip
    return f"in {patients:,} {cohort.title} {which} {found}"


def _baseline(report: Report) -> Html:
    network = "a random network" if report.config.weights == "random" else "the pretrained network"
    return paragraph(
        f"A baseline: features of {network}, logistic regression. Nothing before the head was "
        "trained.",
        class_="notice",
    )


def _unfinished(report: Report) -> Html:
    return paragraph(
        f"This run is not finished: {len(report.rounds)} of {report.planned_rounds} rounds are "
        "done. The results below are those so far; the model is still changing.",
        class_="notice unfinished",
    )


def _few_patients(metrics: BinaryMetrics) -> str | None:
    positives, negatives = metrics.positives or 0, metrics.negatives or 0
    if min(positives, negatives) >= FEW or metrics.auroc is None:
        return None
    return (
        f"Few patients: with {positives:,} with the finding and {negatives:,} without it, one "
        "patient more or less changes these results noticeably."
    )


def _figures(report: Report) -> tuple[tuple[str, str, str], ...]:
    metrics = report.cohort.pooled if report.cohort else None
    patients = None
    if metrics is not None:
        patients = (
            f"{count(metrics.positives)} with the finding, {count(metrics.negatives)} without"
        )
    limits = None if metrics is None else metrics.auroc_ci95
    return (
        ("AUROC", NOT_SHOWN if metrics is None else metric(metrics.auroc),
         f"95 % CI {metric_interval(limits)}" if limits else
         f"95 % CI {NOT_DEFINED}" if metrics else ""),
        ("Patients evaluated", _total(report.cohort), patients or ""),
    )  # fmt: skip


def _common(report: Report) -> tuple[tuple[str, str, str], ...]:
    totals = report.totals
    moved, full = totals.bytes_moved, totals.bytes_full_exchange
    names = {name for r in report.rounds for name in r.sites}
    return (
        ("Sites", str(len(names)), f"at least {report.config.min_sites} a round"),
        ("Rounds", str(len(report.rounds)), _planned(report)),
        ("Data transferred", megabytes(moved),
         f"{percent(moved / full)} of a full exchange" if full else ""),
        ("Time", duration(totals.seconds), "at the coordinator"),
    )  # fmt: skip


def _planned(report: Report) -> str:
    if may_end_early(report.config):
        return f"of at most {total_rounds(report.config)}"
    return f"of {report.planned_rounds} planned"


def _total(cohort: CohortResults | None) -> str:
    if cohort is None or cohort.pooled is None:
        return NOT_SHOWN
    return count((cohort.pooled.positives or 0) + (cohort.pooled.negatives or 0))
