"""Each stage's rounds and learning rate, and what its schedule means, in words."""

from __future__ import annotations

from collections.abc import Sequence

from server.report.data import Report
from server.report.html import Html, element, paragraph, table
from server.report.numbers import ranges
from shared.settings.schedule import (
    Plan,
    decides_as_it_goes,
    maximum_rate,
    may_end_early,
    plan_round,
    trains_body,
)


def stages_trained(report: Report) -> Html:
    """What thawing is, and each stage's rounds and rate."""
    config = report.config
    plans = [plan_round(config, n) for n in range(1, report.planned_rounds + 1)]
    probed, rows = probe_rounds_of(report), []
    for stage in reversed(config.network.stages):
        rounds = sorted({*rounds_trained(report, stage), *rounds_planned(report, stage)})
        rates = [maximum_rate(config, stage, probing=number <= probed) for number in rounds]
        if config.schedule == "logistic" and rates:
            rate = "fitted"  # which has no rate
        else:
            rate = f"{max(rates):g}" if rates else "frozen"
        rows.append((stage, ranges(rounds) if rates else "never", rate))
    caption = "Stages as planned" if not report.finished else "Stages"
    if config.schedule == "dynamics":
        caption = "Stages of which units have trained"
    head = ("stage", "trains in rounds", "maximum learning rate")
    return element(
        "div",
        paragraph(_schedule(report, plans)),
        table(caption, head, rows, text_columns=(1,)),
    )


def _schedule(report: Report, plans: Sequence[Plan]) -> str:
    """Which stages train, and what the others are meanwhile."""
    stages = report.config.network.stages
    if all(set(stages) <= set(plan.trainable) for plan in plans):
        return "All stages train, and are sent, in every round."
    schedule = report.config.schedule
    if schedule not in ("logistic", "dual") and not trains_body(report.config):
        schedule = "probe"
    decided = " The coordinator decides when the run ends." * may_end_early(report.config)
    text = {
        "progressive": "The network thaws from its last stage to its first: in each round only the "
        "marked stages train and are sent.",
        "full": "The head trains alone at first, then all stages train; only what trains is sent.",
        "probe": "Only the head trains and is sent.",
        "dynamics": "After rounds of the head alone the coordinator chooses the units of each "
        "round; only what trains is sent back.",
        "adaptive": "The head trains alone at first, then the marked stages with it; only what "
        f"trains is sent.{decided}",
        "logistic": "The head is the mean of the sites' logistic regressions on the features of "
        "the network before it; only the head is sent.",
        "dual": "Two branches train at first, one on the images, one on augmented versions of "
        "them. Then they are one network with further layers, which thaws from its last stage to "
        "its first; only what trains is sent.",
    }[schedule]
    if schedule == "dual":
        return (
            f"{text} Every site proves with a digest in every round that no frozen stage changed."
        )
    initial = "random" if report.config.weights == "random" else "pretrained"
    if schedule == "dynamics":
        return (
            f"{text} Units that have never trained keep their {initial} weights, and a unit that "
            "freezes again those that the sites have received, exactly; every site proves that "
            "with a digest in every round."
        )
    return (
        f"{text} Frozen stages keep their {initial} weights exactly; every site proves that with a "
        "digest in every round."
    )


def rounds_trained(report: Report, stage: str) -> list[int]:
    """The rounds in which units of the stage trained."""
    units_of = report.config.network.units_of
    own = units_of([stage])
    return [r.number for r in report.rounds if own & units_of(r.trainable)]


def probe_rounds_of(report: Report) -> int:
    """Rounds of the probe, as far as that is known."""
    tuned = next((r.number for r in report.rounds if r.phase == "fine-tune"), None)
    return report.config.probe_rounds if tuned is None else tuned - 1


def rounds_planned(report: Report, stage: str) -> list[int]:
    """The rounds to come in which it will train, as far as that is known."""
    config = report.config
    return [
        number
        for number in range(len(report.rounds) + 1, report.planned_rounds + 1)
        if not decides_as_it_goes(config, number) and stage in plan_round(config, number).trainable
    ]
