"""Leakage: whether a run's teacher was trained on patients that the run is evaluated on."""

from __future__ import annotations

from pathlib import Path

from shared.run.finished import read_stored_run
from shared.settings.config import RunConfig


def teacher_leakage(config: RunConfig) -> str | None:
    """A sentence where the teacher was trained on patients whom a simulated run evaluates.

    A run of the same folders and the same split left them out as well. None without a teacher,
    and where nobody here knows who taught it. ConfigError where the teacher is no run.
    """
    if not config.teacher or not config.sites:
        return None
    teacher = read_stored_run(Path(config.teacher).expanduser()).config
    theirs = {Path(one).resolve() for one in teacher.site_folders}
    common = [one for one in map(Path, config.site_folders) if one.resolve() in theirs]
    if not common or _split(teacher) == _split(config):
        return None
    return (
        f"The teacher in {config.teacher} was trained on {', '.join(one.name for one in common)} "
        "with another split (seed, folds, fold, validation-fraction), so it knows patients that "
        "this run is evaluated on, and the metrics flatter the model. Train the teacher with this "
        "run's split, or judge the model by a cohort that neither has seen (fedthaw evaluate)."
    )


def _split(config: RunConfig) -> tuple[int, int, int, float]:
    """What decides who trains, validates and is held out at a site."""
    return config.seed, config.folds, config.fold, config.validation_fraction
