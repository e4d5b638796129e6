"""Which sites took part in which round, and which replies were refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from server.report.data import Report, Round
from server.report.html import Html, element, figure, paragraph, section, table
from server.report.numbers import in_words, ranges, runs
from server.report.plot import BLUE, MUTED, ORANGE, drawing, legend, to_svg

SITES_DRAWN = 24


def presence_section(report: Report) -> Html:
    """Sites by round, and why replies were refused."""
    if not report.rounds:
        return section("sites-by-round", "Who took part", paragraph("No round is finished yet."))
    names = sorted(
        {name for r in report.rounds for name in (*r.sites, *r.refused, *r.absent)}
        | set(report.missing)
    )
    return section(
        "sites-by-round",
        "Who took part",
        element("div", _presence(report, names), _problems(report), class_="plots"),
    )


def _problems(report: Report) -> Html:
    return element(
        "div",
        _refusals(report),
        _missing(report),
        paragraph(
            "Images that a site excluded are named there by fedthaw site check FOLDER --list. They "
            "are not reported to the coordinator, so they are not on this page.",
            class_="note",
        ),
    )


def _presence(report: Report, names: list[str]) -> Html:
    states = (
        ("took part", "", BLUE, _rounds(report, names, lambda r: r.sites)),
        ("refused or no reply", "x", ORANGE, _rounds(report, names, lambda r: r.refused)),
        ("not connected", ".", MUTED, _rounds(report, names, lambda r: r.absent)),
    )
    drawn = names[:SITES_DRAWN]
    with drawing(0.95 + 0.22 * len(drawn)) as canvas:
        axes: Axes = canvas.subplots()
        size = max(2.0, min(6.0, 180 / max(len(report.rounds), 1)))
        for row, name in enumerate(drawn):
            bars = [(a - 0.45, b - a + 0.9) for a, b in runs(states[0][-1][name])]
            label = None if row else "took part"
            axes.broken_barh(bars, (row - 0.3, 0.6), facecolor=BLUE, linewidth=0, label=label)
        for label, marker, colour, rounds in states[1:]:
            points = [(x, row) for row, name in enumerate(drawn) for x in rounds[name]]
            if points:
                axes.plot(
                    [x for x, _ in points], [y for _, y in points], marker, color=colour,
                    markersize=size, linestyle="none", label=label,
                )  # fmt: skip
        axes.set_yticks(range(len(drawn)), [name[:16] for name in drawn])
        axes.set(xlabel="round", ylim=(len(drawn) - 0.4, -0.6))
        axes.set_xlim(0.3, len(report.rounds) + 0.7)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(visible=False)
        legend(axes, columns=3)
        svg = to_svg(
            canvas, "presence", "Sites by round",
            f"The rounds in which each of {in_words(len(drawn), 'site', 'sites')} took part.",
        )  # fmt: skip
    caption = "Bars: rounds in which the site's update was used." + (
        f" The first {SITES_DRAWN} are drawn; all are in the table."
        if len(names) > SITES_DRAWN
        else ""
    )
    rows = [(name, *(ranges(rounds[name]) for *_, rounds in states)) for name in names]
    head = ("site", *(f"{label} in rounds" for label, *_ in states))
    return figure(svg, caption, table("Sites by round", head, rows, text_columns=(1, 2, 3)))


def _rounds(
    report: Report, names: list[str], among: Callable[[Round], Collection[str]]
) -> dict[str, list[int]]:
    return {name: [r.number for r in report.rounds if name in among(r)] for name in names}


def _refusals(report: Report) -> Html:
    why: dict[tuple[str, str], list[int]] = defaultdict(list)
    for r in report.rounds:
        for name, reason in r.refused.items():
            why[name, reason].append(r.number)
    if not why:
        return paragraph("Every site that was asked answered, and no reply was refused.")
    rows = [(name, ranges(rounds), reason) for (name, reason), rounds in sorted(why.items())]
    caption = "Replies that were refused, and sites that did not answer or could not take part"
    return table(caption, ("site", "rounds", "reason"), rows, text_columns=(1, 2))


def _missing(report: Report) -> Html | None:
    if not report.missing:
        return None
    rows = list(report.missing.items())
    return table("Sites that are not in the final evaluation", ("site", "reason"), rows, (1,))
