"""Units by rounds: in which each trained, and the signals of it then."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from server.report.data import Report
from server.report.html import Html, figure, table
from server.report.numbers import ranges, runs
from server.report.plot import BLUE, GREEN, MUTED, ORANGE, drawing, to_svg
from server.results.signals import UnitSignals
from shared.settings.config import RunConfig
from shared.settings.rates import MOMENTUM, MOMENTUM_HIGH, MOMENTUM_LOW, noise_alone

_LEVELS = 5
"""Shades of a colour; more could not be distinguished."""

Cells = Mapping[str, Mapping[int, UnitSignals | None]]
"""By unit and round in which it trained; None where the round has no signals of it."""


def signals_drawn(report: Report) -> Html:
    """A figure of the signals, with the last ones as a table."""
    names, cells = [unit.name for unit in report.config.network.units], _cells(report)
    refined = report.config.schedule == "adaptive"
    what = "refined log-loss" if refined else "log-loss"
    pictures = [
        ("relative change of the weights: the darker, the larger", _by_distance(cells)),
        ("agreement of the sites: blue above chance, orange below", _by_agreement),
    ]
    if _has_noise(cells):
        pictures.append(("signal-to-noise of the gradients: the darker, the larger", _by_noise))
    height = 0.5 + 0.17 * len(names)
    with drawing(len(pictures) * height + 1.6) as canvas:
        ratios = (*(height for _ in pictures), 1.0)
        *drawn, loss = canvas.subplots(len(ratios), 1, sharex=True, height_ratios=ratios)
        for axes, (title, shade) in zip(drawn, pictures, strict=True):
            _draw(axes, names, cells, shade)
            axes.set_title(title, loc="left")
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
    noise = _noise_in_words(report.config) if _has_noise(cells) else ""
    caption = (
        "Units by rounds; what is empty was frozen. First: how far a unit's weights moved in the "
        "round. Second: how far the sites' updates of it pointed the same way; pale is what chance "
        f"gives.{noise} Last: {what} in the validation patients after that many rounds."
    )
    return figure(svg, caption, _numbers(names, cells))


def _noise_in_words(config: RunConfig) -> str:
    """What the signal-to-noise is, and what chance gives."""
    chance = f"about {noise_alone(MOMENTUM):.2f}"
    if config.rate_policy == "one-cycle":
        low, high = noise_alone(MOMENTUM_HIGH), noise_alone(MOMENTUM_LOW)
        chance += f" in the probe and {low:.2f} to {high:.2f} after it, as AdamW's beta 1 changes"
    return (
        " Third: how far the gradients of a unit agreed from step to step, averaged over the "
        "sites, from 0 to about 1 (the mean gradient's square over the mean square, as AdamW keeps "
        f"both). Noise alone gives {chance}, and more in a unit's first 20 steps; "
        "up to there a cell is pale. No rule reads it."
    )


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


def _has_noise(cells: Cells) -> bool:
    return any(s and s.signal_to_noise is not None for row in cells.values() for s in row.values())


def _by_noise(signals: UnitSignals) -> tuple[str, int]:
    """By the logarithm, from the most that chance gives after many steps to 1."""
    if signals.signal_to_noise is None:
        return MUTED, 1
    chance = noise_alone(MOMENTUM_LOW)
    place = math.log(max(signals.signal_to_noise, chance) / chance) / math.log(1 / chance)
    return BLUE, 1 + round(min(place, 1.0) * (_LEVELS - 1))


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
    rows, noisy = [], _has_noise(cells)
    for name in reversed(names):
        own = cells.get(name, {})
        last = own[max(own)] if own else None
        rows.append(
            (
                name,
                ranges(own) if own else "never",
                f"{last.distance:.3g}" if last else "",
                f"{last.agreement:+.2f}" if last and last.agreement is not None else "",
                *([_noise(last)] if noisy else []),
            )
        )
    noise = ("signal-to-noise then",) if noisy else ()
    head = ("unit", "trained in rounds", "relative change then", "agreement then", *noise)
    return table("Units, and their signals when they last trained", head, rows, text_columns=(1,))


def _noise(signals: UnitSignals | None) -> str:
    if signals is None or signals.signal_to_noise is None:
        return ""
    return f"{signals.signal_to_noise:.2g}"
