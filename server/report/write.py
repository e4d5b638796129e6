"""report.html: written when asked for, and at the end of a run."""

from __future__ import annotations

from pathlib import Path

from server.report.page import run_page
from server.report.read import read_report
from shared.errors import RunError
from shared.files import write_text_atomically
from shared.limits import MIN_CELL

FILE = "report.html"


def write_report(run: Path, out: Path | None = None, min_cell: int = MIN_CELL) -> Path:
    """Write the page of a run, finished or not, and return where it is.

    Raises ConfigError where `run` is no run's folder, RunError where a file in it is damaged or
    the page cannot be written.
    """
    page = run_page(read_report(run, min_cell))
    path = out or run / FILE
    try:
        write_text_atomically(path, page)
    except OSError as error:
        raise RunError(
            f"The report cannot be written to {path} ({error.strerror}); name another file with "
            "--out."
        ) from error
    return path
