"""Which stage trained when, and what loss and AUROC did meanwhile."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from server.report.data import Report, Round
from server.report.html import Html, element, figure, paragraph, section, table
from server.report.numbers import NOT_SHOWN, duration, listed, megabytes, metric, ranges, runs
from server.report.plot import BLUE, GREEN, MUTED, ORANGE, drawing, to_svg
from server.report.sections.ending import ending
from server.report.sections.stages import (
    probe_rounds_of,
    rounds_planned,
    rounds_trained,
    stages_trained,
)
from server.report.sections.units import units_drawn
from server.terminal.decimals import as_rounded
from shared.settings.schedule import shows_signals, trains_body


def thawing_section(report: Report) -> Html:
    """The timeline with its table; a sentence before the first round is finished."""
    if not report.rounds:
        return section("training", "Training", paragraph("No round is finished yet."))
    return section(
        "training",
        "Training",
        element("div", _timeline(report), stages_trained(report), class_="plots"),
        ending(report.ending) if report.ending else None,
        units_drawn(report)
        if shows_signals(report.config) and trains_body(report.config)
        else None,
    )


def _timeline(report: Report) -> Html:
    with drawing(5.4) as canvas:
        stages, loss, auroc = canvas.subplots(3, 1, sharex=True, height_ratios=(1.25, 1, 1))
        _draw_stages(stages, report)
        _draw_loss(loss, report.rounds)
        _draw_auroc(auroc, report)
        auroc.set_xlabel("round")
        auroc.set_xlim(-0.3, report.planned_rounds + 0.7)
        auroc.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        svg = to_svg(
            canvas,
            "thawing",
            "Thawing timeline with loss and AUROC",
            f"Rounds in which each stage trained: {_by_stage(report)}.",
        )
    caption = (
        "Top: rounds in which each stage trained"
        + ("" if report.finished else " (outlined: planned)")
        + ". Middle: training loss, the mean over the sites weighted by their images. Bottom: "
        "AUROC in the validation patients after that many rounds; the dotted line is chance."
        + (
            " The diamond is the final model."
            if report.ending and _final(report) is not None
            else ""
        )
        + (
            ""
            if report.min_cell == 0
            else " Rounds whose value would reveal too few patients are omitted."
        )
    )
    return figure(svg, caption, _numbers(report))


def _by_stage(report: Report) -> str:
    return "; ".join(
        f"{stage} {ranges(rounds_trained(report, stage))}" for stage in report.config.network.stages
    )


def _draw_stages(axes: Axes, report: Report) -> None:
    rows = {stage: row for row, stage in enumerate(report.config.network.stages)}
    for stage, row in rows.items():
        trained = rounds_trained(report, stage)
        axes.broken_barh(_bars(trained), (row - 0.34, 0.68), facecolor=BLUE, linewidth=0)
        planned = _bars(rounds_planned(report, stage))
        axes.broken_barh(
            planned, (row - 0.34, 0.68), facecolor="none", edgecolor=BLUE, linewidth=0.6
        )
    axes.set_yticks(list(rows.values()), list(rows))
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0)
    if 0 < (probed := probe_rounds_of(report)) < report.planned_rounds:
        at = probed + 0.5
        axes.axvline(at, color=MUTED, linewidth=0.9, linestyle=":")
        dual = report.config.schedule == "dual"
        what = "rounds of two separate branches" if dual else "probe rounds of the head alone"
        axes.set_title(f"left of the dotted line: {what}", loc="left")


def _bars(rounds: list[int]) -> list[tuple[float, float]]:
    """Start and length of each run of rounds."""
    return [(first - 0.5, last - first + 1) for first, last in runs(rounds)]


def _draw_loss(axes: Axes, rounds: tuple[Round, ...]) -> None:
    shown = [(r.number, r.loss) for r in rounds if r.loss is not None]
    axes.plot(*_columns(shown), color=ORANGE, marker="o", markersize=2.5)
    axes.set_ylabel("loss")
    axes.margins(y=0.15)


def _draw_auroc(axes: Axes, report: Report) -> None:
    # A round evaluates the model that entered it, which is that after the round before.
    shown = [(r.number - 1, r.auroc) for r in report.rounds if r.auroc is not None]
    final = _final(report)
    if final is not None and report.ending is None:
        shown.append((len(report.rounds), final))
    axes.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=":")
    axes.plot(*_columns(shown), color=GREEN, marker="o", markersize=2.5)
    values = [y for _, y in shown]
    if final is not None and report.ending is not None:
        axes.plot(len(report.rounds), final, color=ORANGE, marker="D", markersize=4)
        values.append(final)
    axes.set_ylabel("AUROC")
    axes.set_ylim(min([0.45, *(y - 0.04 for y in values)]), max([0.6, *(y + 0.04 for y in values)]))


def _final(report: Report) -> float | None:
    """The AUROC of the final model in the validation patients of all sites, where it is shown."""
    if not report.finished:
        return None
    pooled = [cohort.pooled for cohort in report.cohorts if cohort.name == "validation"]
    of_classes = [cohort.pooled for cohort in report.classes if cohort.name == "validation"]
    return next((found.auroc for found in (*pooled, *of_classes) if found), None)


def _columns(points: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _numbers(report: Report) -> Html:
    rows = [
        (
            str(r.number),
            listed(reversed(r.trainable)),
            NOT_SHOWN if r.loss is None else as_rounded(r.loss, 4),
            NOT_SHOWN if r.auroc is None else metric(r.auroc),
            str(len(r.sites)),
            megabytes(r.bytes_down + r.bytes_up),
            megabytes(r.bytes_full_exchange),
            duration(r.seconds),
            duration(r.wait_seconds),
        )
        for r in report.rounds
    ]
    head = (
        "round", "stages that train", "loss", "AUROC of the incoming model", "sites",
        "data transferred", "full exchange", "time", "waiting for sites",
    )  # fmt: skip
    return table("Rounds", head, rows, text_columns=(1,))
