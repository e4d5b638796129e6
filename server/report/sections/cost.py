"""What the run moved and how long it took, round by round."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from server.report.data import Report
from server.report.html import Html, element, figure, paragraph, section, table
from server.report.numbers import duration, megabytes, percent
from server.report.plot import BLUE, GREEN, INK, ORANGE, drawing, legend, to_svg


def cost_section(report: Report) -> Html:
    """Bytes against a full exchange, and seconds; the totals before them."""
    totals = report.totals
    text = f"{megabytes(totals.bytes_moved)} were transferred"
    if totals.bytes_full_exchange:
        part = totals.bytes_moved / totals.bytes_full_exchange
        text += (
            f", {percent(part)} of the {megabytes(totals.bytes_full_exchange)} that exchanging the "
            "whole model in float32 in every round would have taken"
        )
    text += (
        f". The run took {duration(totals.seconds)}; for {duration(totals.wait_seconds)} of it "
        "the coordinator waited for the sites."
    )
    if totals.train_seconds is not None and totals.evaluate_seconds is not None:
        text += (
            f" All sites together trained for {duration(totals.train_seconds)} and evaluated for "
            f"{duration(totals.evaluate_seconds)}; the peak memory of a site was "
            f"{megabytes(totals.peak_memory_bytes)}."
        )
    plots = None
    if report.rounds:
        plots = element("div", _bytes(report), _seconds(report), class_="plots")
    return section("cost", "Data and time", paragraph(text), plots)


def _bytes(report: Report) -> Html:
    numbers = [r.number for r in report.rounds]
    down = [r.bytes_down / 1e6 for r in report.rounds]
    up = [r.bytes_up / 1e6 for r in report.rounds]
    full = [r.bytes_full_exchange / 1e6 for r in report.rounds]
    with drawing(3.0) as canvas:
        axes: Axes = canvas.subplots()
        axes.bar(numbers, down, color=BLUE, label="to the sites")
        axes.bar(numbers, up, bottom=down, color=ORANGE, label="from the sites", hatch="///")
        starts, ends = ([n + side for n in numbers] for side in (-0.5, 0.5))
        axes.hlines(full, starts, ends, color=INK, linewidth=1.3, label="full exchange")
        _finish(axes, report, "MB")
        svg = to_svg(
            canvas, "bytes", "Data transferred by round against a full exchange",
            "Megabytes to and from the sites in each round, and what the whole model would take.",
        )  # fmt: skip
    rows = [
        (
            str(r.number),
            megabytes(r.bytes_down),
            megabytes(r.bytes_up),
            megabytes(r.bytes_full_exchange),
        )
        for r in report.rounds
    ]
    head = ("round", "to the sites", "from the sites", "full exchange")
    caption = (
        "Data transferred by round, all sites together. The line is an exchange of the whole model "
        "in float32."
    )
    return figure(svg, caption, table("Data transferred by round", head, rows))


def _seconds(report: Report) -> Html:
    numbers = [r.number for r in report.rounds]
    waiting = [r.wait_seconds for r in report.rounds]
    own = [max(0.0, r.seconds - r.wait_seconds) for r in report.rounds]
    with drawing(3.0) as canvas:
        axes: Axes = canvas.subplots()
        axes.bar(numbers, waiting, color=GREEN, label="waiting for sites")
        axes.bar(numbers, own, bottom=waiting, color=ORANGE, label="the rest", hatch="///")
        _finish(axes, report, "seconds")
        svg = to_svg(
            canvas, "seconds", "Seconds by round",
            "How long each round took at the coordinator, and how much of it was waiting.",
        )  # fmt: skip
    rows = [
        (str(r.number), duration(r.seconds), duration(r.wait_seconds), str(r.attempts))
        for r in report.rounds
    ]
    head = ("round", "time", "waiting for sites", "attempts")
    caption = (
        "Time by round at the coordinator. Sites train while it waits; in a simulation in one "
        "process they train one after the other."
    )
    return figure(svg, caption, table("Time by round", head, rows))


def _finish(axes: Axes, report: Report, unit: str) -> None:
    axes.set(xlabel="round", ylabel=unit, xlim=(0.3, len(report.rounds) + 0.7))
    axes.margins(y=0.08)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(visible=False, axis="x")
    legend(axes, columns=3)
