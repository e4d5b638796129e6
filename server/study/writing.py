"""A finished study's files: its tables, its page and study.json."""

from __future__ import annotations

from pathlib import Path

from server.disclosure.shown import Shown
from server.study.document import FILE, to_json
from server.study.results import StudyResult
from shared.files import write_text_atomically


def write_study(shown: Shown[StudyResult], out: Path) -> None:
    """Write the tables and the page, and last study.json: with it the study is complete."""
    from server.report.study.data import report_of
    from server.report.study.page import study_page
    from server.report.write import FILE as PAGE
    from server.study.table import (
        ARMS,
        COMPARED,
        arm_rows,
        comparison_rows,
        to_csv,
        to_latex,
        to_markdown,
    )

    result = shown.value
    document = to_json(result)
    documents = {
        "study.md": to_markdown(result),
        "study.tex": to_latex(result),
        "arms.csv": to_csv(ARMS, arm_rows(result)),
        "comparisons.csv": to_csv(COMPARED, comparison_rows(result)),
        PAGE: study_page(report_of(out, result, document.encode("utf-8"))),
        FILE: document,
    }
    for name, text in documents.items():
        write_text_atomically(out / name, text)
