"""calibration.json: recalibration and operating points, chosen on validation patients."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from server.results.shown import Shown
from shared.errors import RunError
from shared.metrics.calibration import fit_temperature, probable_recalibration
from shared.metrics.histogram import Histogram, bin_edges
from shared.metrics.operating import threshold_at_sensitivity, youden_threshold
from shared.outcome.counts import totals
from shared.storage.files import write_text_atomically

FILE = "calibration.json"
SENSITIVITIES = (0.8, 0.9, 0.95)


def calibrate(validation: Histogram, scores: Histogram | None = None) -> dict[str, Any]:
    """What the final model's scores of all sites' validation patients suggest.

    Thresholds are of the uncalibrated probability of a patient; null where a class is missing.
    With `scores`, the same patients at the first bins of their groups, each is one of those bins'.
    """
    fit = probable_recalibration(validation)
    youden = youden_threshold(validation if scores is None else scores)
    if scores is not None and youden is not None:
        youden = _first_called_positive(scores, youden)
    scores = validation if scores is None else scores
    points = {"youden": youden} | {
        f"sensitivity-{share:g}": threshold_at_sensitivity(scores, share) for share in SENSITIVITIES
    }
    return {
        "temperature": fit_temperature(validation),
        "recalibration": asdict(fit) if fit else None,
        "operating_points": [
            {"name": name, "threshold": threshold}
            for name, threshold in points.items()
            if threshold is not None
        ],
        **totals(validation),
    }


def _first_called_positive(scores: Histogram, threshold: float) -> float:
    """The highest threshold that calls the same patients positive; this one where it is nobody."""
    edges = bin_edges()
    first = int(np.argmin(np.abs(edges - logit(threshold)))) + 1
    called = np.flatnonzero(scores.by_bin[first:])
    return float(expit(edges[first + called[0] - 1])) if called.size else threshold


def write_calibration(folder: Path, calibration: Shown[Mapping[str, Any]]) -> None:
    """Write the document into a run's folder; RunError where the disk does not take it."""
    try:
        write_text_atomically(folder / FILE, json.dumps(calibration.value, indent=1) + "\n")
    except OSError as error:
        raise RunError(
            f"The calibration cannot be written to {folder} ({error.strerror}); make room there "
            "and continue with --resume."
        ) from error
