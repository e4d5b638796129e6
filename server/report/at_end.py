"""What a run or a study leaves by itself when it has ended: its report, and a study's tables."""

from __future__ import annotations

from pathlib import Path

from server.results.shown import Shown
from server.results.study import AnyStudy, ClassStudyResult, StudyResult
from server.run.paths import REPORT
from server.study.document import FILE, to_json
from shared.run.events import Warned, emit
from shared.storage.files import write_text_atomically


def write_report_at_end(run: Path) -> None:
    """Write report.html into a run's folder; what goes wrong is said and costs the run nothing."""
    try:
        # Imported when the run is over: a run does not carry a drawing library in its memory.
        from server.report.write import write_report

        write_report(run)
    except Exception as error:
        emit(
            Warned(
                f"The run is complete, but its report could not be written ({error}); `fedthaw "
                f"report {run}` tries again."
            )
        )


def write_study(shown: Shown[StudyResult] | Shown[ClassStudyResult], out: Path) -> None:
    """Write the tables and the page, and last study.json: with it the study is complete."""
    from server.report.study.data import report_of
    from server.report.study.page import study_page
    from server.study.table import tables_of, to_csv, to_latex, to_markdown

    result: AnyStudy = shown.value
    document = to_json(result)
    documents = {
        "study.md": to_markdown(result),
        "study.tex": to_latex(result),
        **{one.file: to_csv(one.heads, one.rows) for one in tables_of(result)},
        REPORT: study_page(report_of(out, result, document.encode("utf-8"))),
        FILE: document,
    }
    for name, text in documents.items():
        write_text_atomically(out / name, text)
