"""Where a schedule decides as it goes: which units trained when, and the signals it used."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from server.report.data import Report
from server.report.html import Html, element, figure, joined, paragraph, table
from server.report.numbers import NOT_SHOWN, listed, percent, ranges, runs
from server.report.plot import BLUE, GREEN, MUTED, ORANGE, drawing, to_svg
from server.results.signals import UnitSignals
from server.schedule.adaptive import Stretch
from server.terminal.progress import as_rounded
from shared.settings.schedule import may_end_early, total_rounds

_LEVELS = 5
"""Shades of a colour; more could not be distinguished."""
_RULES = {
    "distance": "the units whose weights changed most when they last trained (SlimFit); those that "
    "have not trained yet come first.",
    "coherence": "the units on whose updates the sites agreed most when they last trained; those "
    "that have not trained for long come first.",
    "round-robin": "the units that have waited longest.",
    "random": "units that are drawn by the run's seed.",
}

Cells = Mapping[str, Mapping[int, UnitSignals | None]]
"""By unit and round in which it trained; None where the round has no signals of it."""


def units_drawn(report: Report) -> Html:
    """The rule in words, and units by rounds with their signals."""
    if report.config.schedule == "adaptive":
        heading, said = "When the run ends", joined(paragraph(_rule(report)), _stretches(report))
    else:
        heading, said = "Which units trained", paragraph(_choice(report))
    return joined(
        element("h3", heading),
        element("div", _figure(report), element("div", said), class_="plots"),
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
    most = total_rounds(config)
    if report.planned_rounds < most:
        ends = "ended" if report.finished else "ends"
        return f"{rule} So this run {ends} after {report.planned_rounds} of at most {most} rounds."
    if not report.finished:
        return rule
    if not may_end_early(config):
        return f"{rule} This run had too few rounds to decide anything."
    return (
        f"{rule} After every stretch it had fallen, or could not be compared: this run took all "
        f"{most} rounds."
    )


def _stretches(report: Report) -> Html | None:
    """What was compared, and what followed."""
    if not report.stretches:
        return None
    rows = [
        (
            f"{one.first} to {one.last}",
            _compared(report, one, one.loss),
            _compared(report, one, one.before),
            f"ends after round {one.last + report.config.patience}" if one.cut else "goes on",
        )
        for one in report.stretches
    ]
    head = ("rounds", "refined log-loss", "of the stretch before", "the run")
    return table("What the coordinator decided after each stretch", head, rows, text_columns=(3,))


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
    return f"{rule}{budget}. Too large for that beside the head, so never trained: {never}."


def _figure(report: Report) -> Html:
    names, cells = [unit.name for unit in report.config.network.units], _cells(report)
    refined = report.config.schedule == "adaptive"
    what = "refined log-loss" if refined else "log-loss"
    height = 0.5 + 0.17 * len(names)
    with drawing(2 * height + 1.6) as canvas:
        ratios = (height, height, 1.0)
        distance, agreement, loss = canvas.subplots(3, 1, sharex=True, height_ratios=ratios)
        _draw(distance, names, cells, _by_distance(cells))
        distance.set_title("relative change of the weights: the darker, the larger", loc="left")
        _draw(agreement, names, cells, _by_agreement)
        agreement.set_title("agreement of the sites: blue above chance, orange below", loc="left")
        shown = [
            (r.number - 1, value)
            for r in report.rounds
            if r.signals
            and (value := r.signals.refined_loss if refined else r.signals.log_loss) is not None
        ]
        loss.plot(*zip(*shown, strict=True) if shown else ([], []), color=GREEN, marker="o",
                  markersize=2.5)  # fmt: skip
        loss.set_ylabel(what)
        loss.set_xlabel("round")
        loss.margins(y=0.15)
        loss.set_xlim(-0.3, report.planned_rounds + 0.7)
        loss.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        trained = "; ".join(f"{name} {ranges(cells.get(name, {}))}" for name in names)
        svg = to_svg(
            canvas, "units", "Units by rounds", f"Rounds in which each unit trained: {trained}."
        )
    caption = (
        "Units by rounds; what is empty was frozen. Top: how far a unit's weights moved in the "
        "round. Middle: how far the sites' updates of it pointed the same way; pale is what chance "
        f"gives. Bottom: {what} in the validation patients after that many rounds."
    )
    return figure(svg, caption, _numbers(names, cells))


def _cells(report: Report) -> Cells:
    found: dict[str, dict[int, UnitSignals | None]] = defaultdict(dict)
    for one in report.rounds:
        signals = one.signals.units if one.signals else {}
        for unit in report.config.network.units_of(one.trainable):
            found[unit][one.number] = signals.get(unit)
    return found


Shade = Callable[[UnitSignals], tuple[str, int]]
"""Colour of a cell, and its level, 1 to `_LEVELS`."""


def _by_distance(cells: Cells) -> Shade:
    """By the logarithm: distances differ by orders of magnitude."""
    known = [s.distance for row in cells.values() for s in row.values() if s and s.distance > 0]
    low, high = (math.log(min(known)), math.log(max(known))) if known else (0.0, 0.0)

    def shade(signals: UnitSignals) -> tuple[str, int]:
        if signals.distance <= 0:
            return BLUE, 1
        place = (math.log(signals.distance) - low) / (high - low) if high > low else 1.0
        return BLUE, 1 + round(place * (_LEVELS - 1))

    return shade


def _by_agreement(signals: UnitSignals) -> tuple[str, int]:
    """By the square root: most agreements are small."""
    if signals.agreement is None:
        return MUTED, 1
    level = 1 + round(math.sqrt(abs(signals.agreement)) * (_LEVELS - 1))
    return (BLUE if signals.agreement >= 0 else ORANGE), level


def _draw(axes: Axes, names: Sequence[str], cells: Cells, shade: Shade) -> None:
    for row, name in enumerate(names):
        alike: dict[tuple[str, int], list[int]] = defaultdict(list)
        for number, signals in cells.get(name, {}).items():
            alike[shade(signals) if signals else (MUTED, 1)].append(number)
        for (colour, level), rounds in sorted(alike.items()):
            bars = [(first - 0.5, last - first + 1) for first, last in runs(rounds)]
            axes.broken_barh(
                bars, (row - 0.42, 0.84), facecolor=colour, alpha=level / _LEVELS, linewidth=0
            )
    axes.set_yticks(range(len(names)), names, fontsize=7.5)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0)


def _numbers(names: Sequence[str], cells: Cells) -> Html:
    rows = []
    for name in reversed(names):
        own = cells.get(name, {})
        last = own[max(own)] if own else None
        rows.append(
            (
                name,
                ranges(own) if own else "never",
                f"{last.distance:.3g}" if last else "",
                f"{last.agreement:+.2f}" if last and last.agreement is not None else "",
            )
        )
    head = ("unit", "trained in rounds", "relative change then", "agreement then")
    return table("Units, and their signals when they last trained", head, rows, text_columns=(1,))
