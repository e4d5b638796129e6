"""Where a schedule decides as it goes: which units trained when, and the signals it used."""

from __future__ import annotations

from server.report.data import Report
from server.report.html import Html, element, joined, paragraph, table
from server.report.numbers import NOT_SHOWN, listed, percent
from server.report.sections.unit_signals import signals_drawn
from server.schedule.adaptive import Stretch
from server.terminal.decimals import as_rounded
from shared.settings.schedule import may_end_early, total_rounds

_RULES = {
    "distance": "the units whose weights changed most when they last trained (SlimFit); those that "
    "have not trained yet come first.",
    "coherence": "the units on whose updates the sites agreed most when they last trained; those "
    "that have not trained for long come first.",
    "round-robin": "the units that have waited longest.",
    "random": "units that are drawn by the run's seed.",
}


def units_drawn(report: Report) -> Html:
    """The rule in words, and units by rounds with their signals."""
    if report.config.schedule == "adaptive":
        heading, said = "When the run ends", joined(paragraph(_rule(report)), _stretches(report))
    else:
        heading, said = "Which units trained", paragraph(_choice(report))
    return joined(
        element("h3", heading),
        element("div", signals_drawn(report), element("div", said), class_="plots"),
    )


def _rule(report: Report) -> str:
    """What decides with schedule=adaptive, and how the run ended."""
    config = report.config
    rule = (
        f"Each stretch of {config.patience} rounds is compared with the one before, by the mean of "
        "the refined log-loss: that of the validation patients once the scores are recalibrated on "
        "them, so that it says how well patients are distinguished. Where that does not fall, the "
        f"run ends {config.patience} rounds later."
    )
    if config.weights == "random":
        rule += " A network trained from scratch goes on at least until its scores discriminate."
    most = total_rounds(config)
    if report.planned_rounds < most:
        ends = "ended" if report.finished else "ends"
        return f"{rule} So this run {ends} after {report.planned_rounds} of at most {most} rounds."
    if not report.finished:
        return rule
    if not may_end_early(config):
        return f"{rule} This run had too few rounds to decide anything."
    return f"{rule} Nothing ended this run early: it took all {most} rounds."


def _stretches(report: Report) -> Html | None:
    """What was compared, and what followed."""
    if not report.stretches:
        return None
    rows = [
        (
            f"{one.first} to {one.last}",
            _compared(report, one, one.loss),
            _compared(report, one, one.before),
            _followed(report, one),
        )
        for one in report.stretches
    ]
    head = ("rounds", "refined log-loss", "of the stretch before", "the run")
    return table("What the coordinator decided after each stretch", head, rows, text_columns=(3,))


def _followed(report: Report, stretch: Stretch) -> str:
    if stretch.cut:
        return f"ends after round {stretch.last + report.config.patience}"
    if stretch.loss is None or stretch.before is None:
        return "goes on"
    if stretch.loss < stretch.before:
        return "goes on: the log-loss fell"
    # Rounded for others, a loss that fell may look the same.
    return (
        "goes on" if stretch.has_learned else "goes on: the scores do not tell patients apart yet"
    )


def _compared(report: Report, stretch: Stretch, loss: float | None) -> str:
    if loss is not None:
        return as_rounded(loss, 4)
    hidden = stretch.comparable and report.min_cell
    return NOT_SHOWN if hidden else "not comparable"


def _choice(report: Report) -> str:
    """The rule of schedule=dynamics, and what it can never choose."""
    config = report.config
    budget = (
        f" Of the units between the first one and the head, at least "
        f"{percent(config.freeze_rate)} stay frozen in a round"
    )
    if config.round_budget < 1:
        share = f"{100 * config.round_budget:g}\u00a0%"
        budget += f"; what trains holds at most {share} of the network's weights"
    rule = f"After the probe each round trains the head and {_RULES[config.select]}"
    if not report.beyond_budget:
        return f"{rule}{budget}."
    never = listed(report.beyond_budget)
    return f"{rule}{budget}. Too large to train together with the head, so never trained: {never}."
