"""Which stage trained when, and what loss and AUROC did meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from server.report.data import Report, Round
from server.report.html import Html, element, figure, paragraph, section, table
from server.report.numbers import NOT_SHOWN, duration, listed, megabytes, metric, ranges, runs
from server.report.plot import BLUE, GREEN, MUTED, ORANGE, drawing, to_svg
from server.report.sections.ending import ending
from server.report.sections.units import units_drawn
from server.terminal.progress import as_rounded
from shared.settings.schedule import (
    Plan,
    decides_as_it_goes,
    maximum_rate,
    may_end_early,
    plan_round,
    shows_signals,
    trains_body,
)


def thawing_section(report: Report) -> Html:
    """The timeline with its table; a sentence before the first round is finished."""
    if not report.rounds:
        return section("training", "Training", paragraph("No round is finished yet."))
    return section(
        "training",
        "Training",
        element("div", _timeline(report), _stages(report), class_="plots"),
        ending(report.ending) if report.ending else None,
        units_drawn(report)
        if shows_signals(report.config) and trains_body(report.config)
        else None,
    )


def _stages(report: Report) -> Html:
    """What thawing is, and each stage's rounds and rate."""
    config = report.config
    plans = [plan_round(config, n) for n in range(1, report.planned_rounds + 1)]
    probed, rows = _probed(report), []
    for stage in reversed(config.network.stages):
        rounds = sorted({*_trained(report, stage), *_planned(report, stage)})
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


def _trained(report: Report, stage: str) -> list[int]:
    """The rounds in which units of the stage trained."""
    units_of = report.config.network.units_of
    own = units_of([stage])
    return [r.number for r in report.rounds if own & units_of(r.trainable)]


def _probed(report: Report) -> int:
    """Rounds of the probe, as far as that is known."""
    tuned = next((r.number for r in report.rounds if r.phase == "fine-tune"), None)
    return report.config.probe_rounds if tuned is None else tuned - 1


def _planned(report: Report, stage: str) -> list[int]:
    """The rounds to come in which it will train, as far as that is known."""
    config = report.config
    return [
        number
        for number in range(len(report.rounds) + 1, report.planned_rounds + 1)
        if not decides_as_it_goes(config, number) and stage in plan_round(config, number).trainable
    ]


def _by_stage(report: Report) -> str:
    return "; ".join(
        f"{stage} {ranges(_trained(report, stage))}" for stage in report.config.network.stages
    )


def _draw_stages(axes: Axes, report: Report) -> None:
    rows = {stage: row for row, stage in enumerate(report.config.network.stages)}
    for stage, row in rows.items():
        trained = _trained(report, stage)
        axes.broken_barh(_bars(trained), (row - 0.34, 0.68), facecolor=BLUE, linewidth=0)
        planned = _bars(_planned(report, stage))
        axes.broken_barh(
            planned, (row - 0.34, 0.68), facecolor="none", edgecolor=BLUE, linewidth=0.6
        )
    axes.set_yticks(list(rows.values()), list(rows))
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0)
    if 0 < (probed := _probed(report)) < report.planned_rounds:
        at = probed + 0.5
        axes.axvline(at, color=MUTED, linewidth=0.9, linestyle=":")
        dual = report.config.schedule == "dual"
        what = "rounds of two branches apart" if dual else "probe rounds of the head alone"
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
