"""What a simulated study will cost, said before its first run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from server.federation.global_model import build_reference
from server.results.plan import SimulatedStudy
from server.study.asking import open_sites
from server.study.cells import cells_of, is_done, names_of, threads_of
from server.terminal.rough import megabytes_in_words, time_in_words
from server.training.estimate import MeasuringGrid, expected_bytes
from shared.model.pretrained import load_base
from shared.settings.parse import parse_run_config

_STARTING = 5.0
"""Seconds until the process of a run trains."""


def study_estimate(study: SimulatedStudy, out: Path, jobs: int) -> str | None:
    """The sentence, of all runs that are not done; None where nothing is to be done or measured.

    A run of each arm is estimated as `fedthaw simulate` does it: see `expected_seconds`.
    """
    plan, sites = study.plan, study.sites
    waiting = [cell for cell in cells_of(plan) if not is_done(cell, out)]
    by_arm = [[cell for cell in waiting if cell.arm == arm] for arm in plan.arms]
    seconds = size = 0.0
    for runs in filter(None, by_arm):
        cell = runs[0]
        own = {"threads": threads_of(jobs), **cell.settings(plan.folds, study.settings)}
        names = names_of(cell.arm, sites)
        chosen = {name: sites[name] for name in names}
        folders = os.pathsep.join(str(path.absolute()) for path in chosen.values())
        config = replace(parse_run_config(own), sites=folders)
        grid = open_sites(config, chosen).grid
        measured = grid.expected_seconds(config) if isinstance(grid, MeasuringGrid) else None
        if measured is None:
            return None
        reference = build_reference(config, load_base(config))
        seconds += len(runs) * (sum(measured) + _STARTING)
        size += len(runs) * expected_bytes(config, reference, 1 if cell.arm.pooled else len(names))
    if not waiting:
        return None
    return (
        f"Estimate: about {time_in_words(seconds / jobs)} for {len(waiting)} runs, and "
        f"{megabytes_in_words(size)} of weights will be transferred in them. Measured for each arm "
        "on one batch of its first site's images on this machine, as busy as it is now."
    )
