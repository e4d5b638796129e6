"""report.html: written when asked for, and at the end of a run or study."""

from __future__ import annotations

from pathlib import Path

from server.report.page import run_page
from server.report.read import read_report
from server.report.study.data import read_study_report
from server.report.study.page import study_page
from server.run.paths import REPORT
from server.study.document import is_study
from shared.errors import RunError
from shared.storage.files import write_text_atomically


def write_report(
    run: Path, out: Path | None = None, min_cell: int | None = None, *, for_others: bool = False
) -> Path:
    """Write the page of a run, finished or not, or of a finished study; return where it is.

    For `for_others` and `min_cell` see `read_report`; to a study the rules were applied when it
    was made.
    Raises ConfigError where `run` is no such folder or the study is not finished, RunError where
    a file in it is damaged or the page cannot be written.
    """
    if is_study(run):
        page = study_page(read_study_report(run))
    else:
        page = run_page(read_report(run, min_cell, for_others=for_others))
    path = out or run / REPORT
    try:
        write_text_atomically(path, page)
    except OSError as error:
        raise RunError(
            f"The report cannot be written to {path} ({error.strerror}); name another file with "
            "--out."
        ) from error
    return path
