"""A study's result as the paper prints it: for the terminal, Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from server.results.quick import quick_study
from server.results.study import (
    AnyStudy,
    ArmResult,
    ClassArm,
    Comparison,
    GradeResult,
    StudyResult,
)
from server.study.classes import table as classes
from server.study.wording import megabytes_text, p_text, rounds_text, spread_text
from server.terminal.decimals import aligned, as_rounded, interval_or_dash
from shared.limits import MIN_CELL

ARMS = ("arm", "patients +/-", "AUROC", "95 % CI", "balanced accuracy",
        "at chosen threshold", "F1", classes.ROUNDS, "MB a run")  # fmt: skip
COMPARED = ("arm", "reference", "sites", "difference", "95 % CI", "p", "p (Holm)",
            "p (signed rank)", "minimum attainable p")  # fmt: skip
Rows = list[tuple[str, ...]]
FEWEST_REPEATS = 3
"""With fewer, single models' chance passes for a difference (`benchmarks/study_statistics.py`)."""


@dataclass(frozen=True)
class Listed:
    """A table, the file that has it as CSV, and the columns that a terminal has no room for."""

    file: str
    heads: Sequence[str]
    rows: Rows
    wide: Sequence[str] = ()


_WIDE = ("accuracy", "F1")
"""Of the table of arms of several classes or labels."""


def tables_of(result: AnyStudy) -> tuple[Listed, ...]:
    """The arms, with mean and standard deviation over the repeats; the differences from the first.

    Of several classes or labels a third: the AUROC of each.
    """
    compared = aligned(_comparison_row(result.arms[0], one) for one in result.comparisons)
    differences = Listed(
        "comparisons.csv", COMPARED, compared, ("reference", "sites", "minimum attainable p")
    )
    alike = (classes.ROUNDS,) if _same_rounds(result.arms) else ()
    if isinstance(result, StudyResult):
        rows, wide = aligned(map(_arm_row, result.arms)), ("at chosen threshold", "F1", *alike)
        return Listed("arms.csv", ARMS, rows, wide), differences
    wide = (*_WIDE, *alike)
    return (
        Listed("arms.csv", classes.arm_heads(result), aligned(classes.arm_rows(result)), wide),
        differences,
        Listed(
            "classes.csv", classes.contrast_heads(result), aligned(classes.contrast_rows(result))
        ),
    )


def _same_rounds(arms: Sequence[ArmResult | ClassArm]) -> bool:
    """Whether all runs of all arms took as many rounds, as far as is known."""
    taken = {n for one in arms if one.rounds for n in (one.rounds.fewest, one.rounds.most)}
    return len(taken) < 2


def print_study(result: AnyStudy, console: Console) -> None:
    """The tables on the terminal, with the columns that fit; study.md has all."""
    plan, first = result.plan, result.arms[0].arm.name
    repeats = "1 repeat" if plan.repeats == 1 else f"{plan.repeats} repeats"
    console.print(f"{repeats} of {plan.folds} folds; mean (SD) over repeats.")
    arms, differences, *parts = tables_of(result)
    console.print(_narrow(arms))
    if result.comparisons:
        smallest = p_text(result.comparisons[0].signed_rank.smallest_p)
        console.print(
            f"Difference from {first} at shared sites. Signed rank over the repeats: minimum "
            f"attainable p {smallest}."
        )
        console.print(_narrow(differences))
    for one in parts:
        console.print(_narrow(one))
    for text in remarks(result):
        console.print(text)


def _narrow(listed: Listed) -> Table:
    heads = listed.heads
    kept = [column for column, head in enumerate(heads) if head not in listed.wide]
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    for column in kept:
        # Folded where there is no room: a name that is cut may be another arm's.
        table.add_column(heads[column], justify="right" if column else "left", overflow="fold")
    for row in listed.rows:
        table.add_row(*(row[column] for column in kept))
    return table


def remarks(result: AnyStudy) -> list[str]:
    """Sentences that belong to the tables: what is left out, and what to be careful with."""
    found = []
    if isinstance(result, StudyResult) and result.grade:
        found.append(_grade(result.arms[0], result.grade))
    if not isinstance(result, StudyResult) and result.left_out:
        found.append(
            f"Left out of every number, of classes with all their patients, as all sites together "
            f"have fewer than {MIN_CELL}: {', '.join(result.left_out)}."
        )
    if result.plan.quick:
        found.insert(0, quick_study(result.plan))
    if result.not_shown:
        found.append(
            f"Not shown: {', '.join(result.not_shown)}; alone or together with the others they "
            "would reveal fewer patients of a site than its min-cell."
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
        f"The clinical grade alone has an AUROC of {as_rounded(grade.auroc)} (95 % CI "
        f"{interval_or_dash(grade.auroc_ci95)}) at the {sum(grade.patients)} patients who have "
        f"one; {first.arm.name} has {spread_text(grade.model_auroc)} there, a difference of "
        f"{as_rounded(grade.difference.mean, signed=True)} ({interval_or_dash(grade.ci95)}; p "
        f"{p_text(grade.p)}, from DeLong's variance over patients and that between the repeats)."
    )


def to_markdown(result: AnyStudy) -> str:
    """The tables as Markdown."""
    tables = [_markdown(one.heads, one.rows) for one in tables_of(result) if one.rows]
    return "\n".join([*tables, *(f"{text}\n" for text in remarks(result))])


def to_csv(heads: Sequence[str], rows: Rows) -> str:
    """One table as CSV."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([tuple(heads), *rows])
    return buffer.getvalue()


def to_latex(result: AnyStudy) -> str:
    """The table of arms as a LaTeX tabular."""
    arms, *_ = tables_of(result)
    lines = [r"\begin{tabular}{l" + "r" * (len(arms.heads) - 1) + "}", r"\hline"]
    lines += [" & ".join(map(_escaped, row)) + r" \\" for row in (arms.heads, *arms.rows)]
    lines.insert(3, r"\hline")
    lines.append(r"\hline")
    if result.plan.quick:
        note = _escaped(quick_study(result.plan))
        lines.append(rf"\multicolumn{{{len(arms.heads)}}}{{l}}{{{note}}} \\")
    return "\n".join([*lines, r"\end{tabular}", ""])


def _arm_row(one: ArmResult) -> tuple[str, ...]:
    return (
        one.arm.name,
        f"{one.patients[0]}/{one.patients[1]}",
        spread_text(one.auroc),
        interval_or_dash(one.auroc_ci95),
        spread_text(one.balanced_accuracy),
        _youden(one),
        spread_text(one.f1),
        rounds_text(one.rounds),
        megabytes_text(one.megabytes),
    )


def _comparison_row(first: ArmResult | ClassArm, one: Comparison) -> tuple[str, ...]:
    return (
        one.arm.name,
        first.arm.name,
        ", ".join(one.sites),
        as_rounded(one.difference.mean, signed=True),
        interval_or_dash(one.ci95),
        p_text(one.p),
        p_text(one.p_holm),
        p_text(one.signed_rank.p),
        p_text(one.signed_rank.smallest_p),
    )


def _youden(one: ArmResult) -> str:
    at = next(point.balanced_accuracy for point in one.points if point.name == "youden")
    return "-" if at is None else spread_text(at)


def _markdown(heads: Sequence[str], rows: Rows) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _escaped(text: str) -> str:
    for sign in "%&_#":
        text = text.replace(sign, "\\" + sign)
    return text.replace("<", "$<$")
