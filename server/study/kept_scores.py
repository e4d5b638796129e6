"""Whether a study's finished runs can still be counted, before others are trained beside them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from server.results.study import StudyPlan
from server.run.folder import open_run
from server.study.asking import StudySites, open_sites
from server.study.cells import Cell, cells_of, is_done, names_of, summary_of
from shared.errors import RunError, UserError


def require_kept_scores(plan: StudyPlan, sites: Mapping[str, Path], out: Path) -> None:
    """Ask the sites for the counts of every run that is done.

    UserError names the folders of those whose scores a site has lost.
    """
    done = [cell for cell in cells_of(plan) if is_done(cell, out)]
    if not done:
        return
    asked = open_sites(open_run(done[0].folder(out)).config, sites)
    lost = [(cell, said) for cell in done if (said := _lost(cell, asked, out))]
    if lost:
        folders = shlex.join(str(cell.folder(out)) for cell, _ in lost)
        raise UserError(
            f"{len(lost)} of the {len(done)} finished runs cannot be counted any more: "
            f"{lost[0][1]} Remove these folders and give the command again, which "
            f"trains them again: {folders}"
        )


def _lost(cell: Cell, asked: StudySites, out: Path) -> str:
    try:
        asked.count((str(summary_of(cell, out)["run"]),), names_of(cell.arm, tuple(asked.nodes)))
    except RunError as error:
        return str(error)
    return ""
