"""A study's result as the paper prints it: for the terminal, Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from server.results.quick import quick_study
from server.results.study import ArmResult, Comparison, GradeResult, StudyResult
from server.terminal.progress import as_rounded
from shared.metrics.repeats import Spread

ARMS = ("arm", "patients +/-", "AUROC", "95 % CI", "balanced accuracy",
        "at chosen threshold", "F1", "MB a run")  # fmt: skip
COMPARED = ("arm", "reference", "sites", "difference", "95 % CI", "p", "p (Holm)",
            "p (signed rank)", "minimum attainable p")  # fmt: skip
Rows = list[tuple[str, ...]]
FEWEST_REPEATS = 3
"""With fewer, single models' chance passes for a difference (`benchmarks/study_statistics.py`)."""


def arm_rows(result: StudyResult) -> Rows:
    """A row for each arm; mean and standard deviation over the repeats."""
    return [_arm_row(one) for one in result.arms]


def comparison_rows(result: StudyResult) -> Rows:
    """A row for each arm but the first."""
    return [_comparison_row(result.arms[0], one) for one in result.comparisons]


def print_study(result: StudyResult, console: Console) -> None:
    """Both tables on the terminal, with the columns that fit; study.md has all."""
    plan, first = result.plan, result.arms[0].arm.name
    repeats = "1 repeat" if plan.repeats == 1 else f"{plan.repeats} repeats"
    console.print(f"{repeats} of {plan.folds} folds; mean (deviation) over repeats.")
    console.print(_narrow(ARMS, arm_rows(result), left_out=("at chosen threshold", "F1")))
    if result.comparisons:
        smallest = _p(result.comparisons[0].signed_rank.smallest_p)
        console.print(
            f"Difference from {first} at shared sites. Signed rank over the repeats: minimum "
            f"attainable p {smallest}."
        )
        left_out = ("reference", "sites", "minimum attainable p")
        console.print(_narrow(COMPARED, comparison_rows(result), left_out))
    for text in remarks(result):
        console.print(text)


def _narrow(heads: Sequence[str], rows: Rows, left_out: Sequence[str]) -> Table:
    kept = [column for column, head in enumerate(heads) if head not in left_out]
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    for column in kept:
        table.add_column(heads[column], justify="right" if column else "left")
    for row in rows:
        table.add_row(*(row[column] for column in kept))
    return table


def remarks(result: StudyResult) -> list[str]:
    """Sentences that belong to the tables: what is left out, and what to be careful with."""
    found = [_grade(result.arms[0], result.grade)] if result.grade else []
    if result.plan.quick:
        found.insert(0, quick_study(result.plan))
    if result.not_shown:
        found.append(
            f"Not shown: {', '.join(result.not_shown)}; alone or beside the others they would "
            "reveal fewer patients of a site than its min-cell."
        )
    compared = {one.arm.name for one in result.comparisons}
    if alone := [one.arm.name for one in result.arms[1:] if one.arm.name not in compared]:
        found.append(
            f"Not compared: {', '.join(alone)}; the patients in common with "
            f"{result.arms[0].arm.name} would give the same result."
        )
    if result.plan.repeats < FEWEST_REPEATS:
        found.append(
            f"Fewer than {FEWEST_REPEATS} repeats: CIs are too narrow and p-values too small, "
            "as single models differ by chance. Give --repeats 3 or more for a paper."
        )
    return found


def _grade(first: ArmResult, grade: GradeResult) -> str:
    return (
        f"The clinical grade alone has an AUROC of {grade.auroc:.3f} (95 % CI "
        f"{_interval(grade.auroc_ci95)}) at the {sum(grade.patients)} patients who have one; "
        f"{first.arm.name} has {_spread(grade.model_auroc)} there, a difference of "
        f"{grade.difference.mean:+.3f} ({_interval(grade.ci95)}; p {_p(grade.p)}, from DeLong's "
        "variance over patients and that between the repeats)."
    )


def to_markdown(result: StudyResult) -> str:
    """Both tables as Markdown."""
    tables = [
        _markdown(heads, rows)
        for heads, rows in ((ARMS, arm_rows(result)), (COMPARED, comparison_rows(result)))
        if rows
    ]
    return "\n".join([*tables, *(f"{text}\n" for text in remarks(result))])


def to_csv(heads: Sequence[str], rows: Rows) -> str:
    """One table as CSV."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([tuple(heads), *rows])
    return buffer.getvalue()


def to_latex(result: StudyResult) -> str:
    """The table of arms as a LaTeX tabular."""
    lines = [r"\begin{tabular}{l" + "r" * (len(ARMS) - 1) + "}", r"\hline"]
    lines += [" & ".join(map(_escaped, row)) + r" \\" for row in (ARMS, *arm_rows(result))]
    lines.insert(3, r"\hline")
    lines.append(r"\hline")
    if result.plan.quick:
        note = _escaped(quick_study(result.plan))
        lines.append(rf"\multicolumn{{{len(ARMS)}}}{{l}}{{{note}}} \\")
    return "\n".join([*lines, r"\end{tabular}", ""])


def _arm_row(one: ArmResult) -> tuple[str, ...]:
    return (
        one.arm.name,
        f"{one.patients[0]}/{one.patients[1]}",
        _spread(one.auroc),
        _interval(one.auroc_ci95),
        _spread(one.balanced_accuracy),
        _youden(one),
        _spread(one.f1),
        f"{one.megabytes:,.0f}",
    )


def _comparison_row(first: ArmResult, one: Comparison) -> tuple[str, ...]:
    return (
        one.arm.name,
        first.arm.name,
        ", ".join(one.sites),
        f"{one.difference.mean:+.3f}",
        _interval(one.ci95),
        _p(one.p),
        _p(one.p_holm),
        _p(one.signed_rank.p),
        _p(one.signed_rank.smallest_p),
    )


def _youden(one: ArmResult) -> str:
    at = next(point.balanced_accuracy for point in one.points if point.name == "youden")
    return "-" if at is None else _spread(at)


def _spread(values: Spread) -> str:
    deviation = values.standard_deviation
    return as_rounded(values.mean, 3) + ("" if deviation is None else f" ({deviation:.3f})")


def _interval(limits: tuple[float, float] | None) -> str:
    return "-" if limits is None else " to ".join(as_rounded(one, 3) for one in limits)


def _p(value: float | None) -> str:
    return "-" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _markdown(heads: Sequence[str], rows: Rows) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _escaped(text: str) -> str:
    for sign in "%&_#":
        text = text.replace(sign, "\\" + sign)
    return text.replace("<", "$<$")
