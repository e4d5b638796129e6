"""Each arm of a study of several classes or labels in the held-out patients."""

from __future__ import annotations

from matplotlib.axes import Axes

from server.report.html import Html, element, figure, paragraph, section, table
from server.report.numbers import NOT_DEFINED, NOT_SHOWN, count, megabytes, share
from server.report.plot import LINES, MUTED, SERIES, drawing, legend, to_svg
from server.report.study.areas import areas_figure
from server.report.study.words import with_interval
from server.results.study import ClassArm, ClassStudyResult, ContrastResult, Measure
from server.study.classes.table import PARTS, WORDS, arm_patients, contrast_name, names_of
from server.study.table import remarks
from server.study.wording import rounds_text
from shared.outcome.registry import parse_outcome

DRAWN = len(SERIES)


def class_arms_section(result: ClassStudyResult) -> Html:
    """Mean areas as a forest plot, the curves of the first arm, the table, and each class."""
    return section(
        "arms",
        "Arms",
        element("div", areas_figure(result.arms), _curves(result), class_="plots"),
        _table(result),
        _contrasts(result),
        _classes(result),
        *(paragraph(text, class_="note") for text in remarks(result)),
    )


def _kind(result: ClassStudyResult) -> str:
    return parse_outcome(result.outcome).kind


def _name(result: ClassStudyResult, arm: ClassArm, one: ContrastResult) -> str:
    return contrast_name(arm, one, ordinal=_kind(result) == "ordinal")


def _curves(result: ClassStudyResult) -> Html:
    first = result.arms[0]
    held = [one for one in first.contrasts if one.curve]
    largest = sorted(held, key=lambda one: -(one.positives or 0))[:DRAWN]
    drawn = [one for one in held if one in largest]
    with drawing(4.6) as canvas:
        axes: Axes = canvas.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":", label="chance")
        for number, one in enumerate(drawn):
            axes.plot(
                *zip(*one.curve, strict=True), color=SERIES[number],
                linestyle=LINES[number - 1] if number else "-",
                label=_name(result, first, one),
            )  # fmt: skip
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set_xlabel("false positive rate (1 - specificity)")
        axes.set_ylabel("true positive rate (sensitivity)")
        legend(axes, columns=3)
        svg = to_svg(
            canvas, "roc", "ROC curves of the first arm",
            f"True positive rate against false positive rate in held-out patients, one curve a "
            f"{PARTS[_kind(result)]}.",
        )  # fmt: skip
    left = len(held) - len(drawn)
    caption = (
        f"ROC curves of {first.arm.name} in held-out patients, {_OF_WHAT[_kind(result)]}, of the "
        "scores of all folds and repeats together."
        + (f" {left} more, with fewer patients, are not drawn." if left else "")
        + " Points are joined until each step holds as many patients as may be shown."
    )
    rows = [(_name(result, first, one), share(x), share(y)) for one in drawn for x, y in one.curve]
    head = (PARTS[_kind(result)], "false positive rate", "true positive rate")
    return figure(svg, caption, table("Points of the ROC curves", head, rows))


_OF_WHAT = {
    "classes": "each class against all others",
    "ordinal": "each class and those above it against those below",
    "labels": "patients with each label against those without it",
}


def _table(result: ClassStudyResult) -> Html:
    names = names_of(result)
    head = ("arm", "patients", "mean AUROC", *(WORDS[name] for name in names), "Brier score",
            "rounds of a run", "data transferred by a run")  # fmt: skip
    rows = [
        (
            one.arm.name,
            arm_patients(one),
            with_interval(one.auroc, one.auroc_ci95),
            *(_measure(one.metrics.get(name)) for name in (*names, "brier")),
            rounds_text(one.rounds),
            megabytes(round(one.megabytes * 1e6)),
        )
        for one in result.arms
    ]
    return table("Arms; mean (standard deviation over repeats)", head, rows)


def _contrasts(result: ClassStudyResult) -> Html:
    """A row a class, cut or label, a column an arm."""
    first = result.arms[0]
    what = PARTS[_kind(result)]
    rows = []
    for place, one in enumerate(first.contrasts):
        cells = [_area(arm.contrasts[place]) for arm in result.arms]
        rows.append((_name(result, first, one), count(one.positives), count(one.negatives), *cells))
    sides = ("patients above", "below") if what == "cut" else ("with it", "without")
    head = (what, *sides, *(arm.arm.name for arm in result.arms))
    caption = f"AUROC of each {what}; patients are those of the first arm"
    return table(caption, head, rows)


def _area(one: ContrastResult) -> str:
    return NOT_SHOWN if one.positives is None else _measure(one.auroc)


def _classes(result: ClassStudyResult) -> Html | None:
    if not result.arms[0].classes:
        return None
    rows = []
    for place, one in enumerate(result.arms[0].classes):
        cells = [
            NOT_SHOWN if own.patients is None else _measure(own.sensitivity)
            for own in (arm.classes[place] for arm in result.arms)
        ]
        rows.append((one.name, count(one.patients), *cells))
    head = ("class", "patients", *(arm.arm.name for arm in result.arms))
    return table(
        "Sensitivity: the share of each class's patients predicted to be of it", head, rows
    )


def _measure(one: Measure | None) -> str:
    if one is None or one.over_repeats is None:
        return NOT_DEFINED
    return with_interval(one.over_repeats, one.ci95)
