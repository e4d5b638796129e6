"""What a run chose on its validation patients, as its page may show it."""

from __future__ import annotations

from server.disclosure.run_files import shown_calibration
from server.results.shown import Audience, audience_of
from server.run.calibration import FILE
from server.run.evaluation_file import EvaluationFile
from server.run.folder import RunFolder
from shared.errors import ConfigError, RunError
from shared.run.finished import Calibration, OperatingPoint, read_calibration


def chosen_by(
    folder: RunFolder, evaluation: EvaluationFile | None, min_cell: int
) -> Calibration | None:
    """Thresholds and temperature of calibration.json; None where there is no such file.

    The owner's file is exact. A page for others has in its place what a run for others would have
    written (a `min_cell` of 0 hides nothing). RunError where the file is damaged.
    """
    if min_cell and audience_of(folder.config) is Audience.OWNER:
        return _for_others(evaluation)
    try:
        return read_calibration(folder.path / FILE)
    except ConfigError as error:
        raise RunError(str(error)) from error


def _for_others(evaluation: EvaluationFile | None) -> Calibration | None:
    kept = evaluation.cohorts.get("validation") if evaluation else None
    if kept is None or kept.pooled is None:
        return None
    found = shown_calibration(kept.pooled, totals=True)
    points = (OperatingPoint(**one) for one in found["operating_points"])
    return Calibration(found["temperature"], tuple(points))
