"""Each arm's difference from the first one, in the same patients."""

from __future__ import annotations

from server.report.html import Html, element, figure, paragraph, section, table
from server.report.numbers import in_words, listed, metric_interval
from server.report.plot import Row, forest
from server.report.study.data import StudyReport
from server.report.study.words import probability, with_interval
from server.results.study import AnyStudy, Comparison, StudyResult
from server.terminal.decimals import as_rounded


def differences_section(report: StudyReport) -> Html:
    """A forest plot of differences, the table of tests, and what they can say."""
    result = report.result
    if not result.comparisons:
        text = "Only one arm may be shown, so there is nothing to compare."
        if len(result.plan.arms) == 1:
            text = "The study has one arm, so there is nothing to compare."
        return section("differences", "Differences", paragraph(text))
    return section(
        "differences",
        "Differences",
        element("div", _plot(result), element("div", *_reading(result)), class_="plots"),
        _table(result),
    )


def _plot(result: AnyStudy) -> Html:
    first = result.arms[0].arm.name
    rows = [Row(_label(result, one), one.difference.mean, one.ci95) for one in result.comparisons]
    axis = f"{_what(result)} difference from {first[:24]}"
    plot = forest(
        rows, axis, 0.0, "difference-of-areas",
        f"For each arm, how much its {_what(result)} is above or below that of the first, with "
        "intervals.",
    )  # fmt: skip
    caption = (
        f"To the right of the dotted line an arm is better than {first}. Lines are 95 % CIs, which "
        "allow for the sampling of patients and for seeds."
    )
    numbers = [
        (row.label, as_rounded(row.value, signed=True), metric_interval(row.interval))
        for row in rows
    ]
    head = ("arm", "difference", "95 % CI")
    return figure(plot, caption, table(f"Differences of {_what(result)}", head, numbers))


def _what(result: AnyStudy) -> str:
    return "AUROC" if isinstance(result, StudyResult) else "mean AUROC"


def _label(result: AnyStudy, one: Comparison) -> str:
    """An arm that lacks sites is compared at those it has, and says so if its name does not."""
    if len(one.sites) == len(result.sites) or all(site in one.arm.name for site in one.sites):
        return one.arm.name
    return f"{one.arm.name}, at {listed(one.sites)}"


def _reading(result: AnyStudy) -> tuple[Html, ...]:
    smallest = result.comparisons[0].signed_rank
    return (
        paragraph(
            "The first p-value tests whether the mean difference over the repeats is zero, for "
            f"patients and seeds like these: its standard error combines {_variance(result)} with "
            "the variance between the repeats. "
            "Holm's adjustment allows for the number of arms."
        ),
        paragraph(
            "The signed-rank test asks whether other folds and seeds would favour the same arm; "
            f"with {in_words(smallest.repeats, 'repeat', 'repeats')} its p cannot be below "
            f"{smallest.smallest_p:.3g}, and it says nothing about other patients, as all repeats "
            "have the same ones."
        ),
        paragraph(
            "An interval that contains zero does not show that two arms are equal, only that these "
            "patients are too few to show which is better."
        ),
    )


def _variance(result: AnyStudy) -> str:
    if isinstance(result, StudyResult):
        return "DeLong's variance of each patient's mean placement under both arms"
    return (
        "DeLong's variance over patients of what each adds to the difference of the mean AUROCs, "
        "over all classes, cuts or labels together,"
    )


def _table(result: AnyStudy) -> Html:
    head = (
        "arm", "sites", f"difference of {_what(result)}", "p", "p (Holm)", "p (signed rank)",
        "minimum attainable p",
    )  # fmt: skip
    rows = [
        (
            one.arm.name,
            listed(one.sites) if len(one.sites) < len(result.sites) else "all sites",
            with_interval(one.difference, one.ci95, signed=True),
            probability(one.p),
            probability(one.p_holm),
            probability(one.signed_rank.p),
            probability(one.signed_rank.smallest_p),
        )
        for one in result.comparisons
    ]
    caption = f"Differences from {result.arms[0].arm.name}; mean (standard deviation over repeats)"
    return table(caption, head, rows, text_columns=(1,))
