"""The head of a study's page: what came out, in one sentence and a few figures."""

from __future__ import annotations

from server.report.classes.distinguished import distinguished
from server.report.discrimination import discrimination
from server.report.html import Html, element, paragraph, tile
from server.report.numbers import (
    capitalised,
    in_words,
    listed,
    megabytes,
    metric,
    metric_interval,
)
from server.report.sections.outcome import NOTICE
from server.report.study.data import StudyReport
from server.results.quick import quick_study
from server.results.study import AnyStudy, ArmResult, ClassArm, StudyResult
from server.study.classes.table import arm_patients
from shared.outcome.registry import parse_outcome


def study_title(report: StudyReport) -> str:
    """What is predicted and the study's name, for heading and window."""
    study = f"study {report.name}"
    return f"{report.finding}, {study}" if report.finding else capitalised(study)


def study_outcome(report: StudyReport) -> Html:
    """Title, sentence, notices and key figures."""
    plan = report.result.plan
    return element(
        "header",
        paragraph("FedThaw, report of a study", class_="kicker"),
        element("h1", study_title(report)),
        paragraph(study_sentence(report.result, report.finding), class_="outcome"),
        paragraph(quick_study(plan), class_="notice") if plan.quick else None,
        paragraph(NOTICE, class_="notice"),
        _figures(report.result),
    )


def study_sentence(result: AnyStudy, finding: str = "") -> str:
    """The outcome of the study in a sentence or two."""
    first = result.arms[0]
    arms = in_words(len(result.arms), "way of training", "ways of training")
    if isinstance(result, StudyResult):
        found = discrimination(
            first.auroc.mean, first.auroc_ci95, finding or "the finding", advice=False
        )
    else:
        outcome = parse_outcome(result.outcome)
        found, _ = distinguished(outcome, first.auroc.mean, first.auroc_ci95)
    text = (
        f"{capitalised(arms)} at {in_words(len(result.sites), 'site', 'sites')}, "
        f"{_judged(result)} that it was not trained on. {capitalised(first.arm.name)} {found}"
    )
    if not result.comparisons:
        return f"{text}."
    sure = [one for one in result.comparisons if one.p_holm is not None and one.p_holm < 0.05]
    if not sure:
        return f"{text}; no other arm differed significantly from it in these patients."
    better = [one.arm.name for one in sure if one.difference.mean > 0]
    worse = [one.arm.name for one in sure if one.difference.mean < 0]
    differing = [f"better: {', '.join(better)}"] if better else []
    differing += [f"worse: {', '.join(worse)}"] if worse else []
    return f"{text}; of the others, significantly {'; '.join(differing)}."


def _judged(result: AnyStudy) -> str:
    """Arms of some of the sites are evaluated on the patients of these."""
    first = result.arms[0]
    alike = all(one.patients == first.patients for one in result.arms)
    return f"{'each' if alike else 'the first'} evaluated on {patients_of(first)} patients"


def patients_of(arm: ArmResult | ClassArm) -> str:
    """The number of patients who were held out; of labels as `arm_patients` has it."""
    return arm_patients(arm) if isinstance(arm, ClassArm) else f"{sum(arm.patients):,}"


def _figures(result: AnyStudy) -> Html:
    first = result.arms[0]
    limits = first.auroc_ci95
    runs = len(result.plan.arms) * result.plan.folds * result.plan.repeats
    area = "Mean AUROC" if isinstance(first, ClassArm) else "AUROC"
    tiles = (
        (f"{area}, {first.arm.name[:24]}", metric(first.auroc.mean),
         f"95 % CI {metric_interval(limits)}" if limits else ""),
        ("Patients", patients_of(first), _by_class(first)),
        ("Sites", str(len(result.sites)), listed(result.sites)),
        ("Arms", str(len(result.plan.arms)), f"{len(result.arms)} shown"),
        ("Runs", f"{runs:,}", f"{result.plan.repeats} x {result.plan.folds} folds of each arm"),
        ("Data transferred by a run", megabytes(round(first.megabytes * 1e6)),
         "first arm, on average"),
    )  # fmt: skip
    return element("dl", *(tile(*one) for one in tiles), class_="tiles")


def _by_class(arm: ArmResult | ClassArm) -> str:
    if isinstance(arm, ArmResult):
        return f"{arm.patients[0]:,} with the finding, {arm.patients[1]:,} without"
    held = [one.patients for one in arm.classes if one.patients is not None]
    return f"{min(held):,} to {max(held):,} of each class" if held else ""
