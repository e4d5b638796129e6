"""report.html: written when asked for, and at the end of a run or study."""

from __future__ import annotations

from pathlib import Path

from server.report.page import run_page
from server.report.read import read_report
from server.report.study.data import read_study_report
from server.report.study.page import study_page
from server.results.shown import Audience, audience_of
from server.run.folder import open_run
from server.run.paths import REPORT
from server.study.cells import Cell
from server.study.document import is_study
from server.study.plan_file import read_plan
from shared.errors import ConfigError, RunError
from shared.storage.files import write_text_atomically


def write_report(
    run: Path, out: Path | None = None, min_cell: int | None = None, *, for_others: bool = False
) -> Path:
    """Write the page of a run, finished or not, or of a finished study; return where it is.

    For `for_others` and `min_cell` see `read_report`; to a study the rules were applied when it
    was made, or not, and then it cannot be written for others.
    Raises ConfigError where `run` is no such folder, the study is not finished or not for others,
    RunError where a file in it is damaged or the page cannot be written.
    """
    if is_study(run):
        if for_others or min_cell is not None:
            _require_for_others(run, min_cell)
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


def _require_for_others(study: Path, min_cell: int | None) -> None:
    """ConfigError where the study hides nothing, or other limits than its own are asked for."""
    if min_cell is not None:
        raise ConfigError(
            f"{study} is a study, whose page has the limits that it was made with; leave "
            "--min-cell out."
        )
    first = Cell(read_plan(study).arms[0], 0, 0).folder(study)
    if audience_of(open_run(first).config) is Audience.OWNER:
        raise ConfigError(
            f"{study} was made for the owner of its folders and hides nothing, so no page for "
            "others can be written of it; give its command with --set for-others=true and another "
            "--out."
        )
