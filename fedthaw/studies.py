"""Ways of training compared by cross-validation."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedthaw.arguments import PathLike, path_of, paths_of, settings_of
from fedthaw.frames import data_frame
from fedthaw.progress import Progress
from fedthaw.session import session
from server.local.study import plan_simulated, run_simulated
from server.results.plan import Arm, StudyPlan
from server.results.study import ArmResult, ClassArm, Comparison, GradeResult, StudyResult
from server.study.document import read_study
from server.study.plan import parse_arm, read_arms, require_free
from shared.errors import ConfigError
from shared.settings.setting import Scalar

Arms = PathLike | Mapping[str, Mapping[str, Scalar]] | Iterable[Arm]


@dataclass(frozen=True)
class Study:
    """A finished study."""

    folder: Path
    plan: StudyPlan = field(repr=False)
    sites: tuple[str, ...]
    arms: tuple[ArmResult, ...] | tuple[ClassArm, ...] = field(repr=False)
    """Of several classes or labels ClassArm."""
    comparisons: tuple[Comparison, ...] = field(repr=False)
    """Each arm but the first, with the first as the reference."""
    grade: GradeResult | None = field(repr=False)
    """The sites' clinical grade compared with the first arm; None where they name none."""
    not_shown: tuple[str, ...] = field(repr=False)
    """Arms that would reveal too few patients of a site."""

    def report(self, path: PathLike | None = None) -> Path:
        """Write the study as one HTML page, by default report.html in its folder."""
        with session(False):
            from server.report.write import write_report

            return write_report(self.folder, None if path is None else path_of(path))

    def to_dataframe(self) -> Any:
        """A pandas.DataFrame, a row an arm; ConfigError where pandas is not installed."""
        compared = {one.arm.name: one for one in self.comparisons}
        return data_frame([_row(one, compared.get(one.arm.name)) for one in self.arms], "arm")


def study(
    sites: PathLike | Iterable[PathLike],
    *,
    arms: Arms | None = None,
    folds: int | None = None,
    repeats: int | None = None,
    out: PathLike = "runs/study",
    settings: Mapping[str, Scalar] | None = None,
    config: PathLike | None = None,
    jobs: int = 1,
    each_site: bool = False,
    quick: bool = False,
    progress: Progress = True,
    **more_settings: Scalar,
) -> Study:
    """Compare ways of training by repeated, patient-level, stratified cross-validation.

    Args:
        sites: Site folders.
        arms: Settings by the arm's name, as {"full": {"schedule": "full"}}, the first being the
            reference; or Arm objects; or a TOML file; or the name of one that comes with FedThaw.
            By default "paper", in a quick look "schedules".
        folds: Folds of each repeat, 2 to 100; by default 5, in a quick look 2.
        repeats: Repeats, each a seed, 1 to 1000; by default 6, in a quick look 1.
        out: The study's folder.
        settings: Run settings of all arms by name; `fedthaw settings` lists them.
        config: A TOML file of run settings, as for --config; `settings` win over it.
        jobs: Runs side by side.
        each_site: Add each site alone, and all data in one place.
        quick: A quick look: small settings in all arms; given settings win.
        progress: True shows it, False only warnings; a function is called with each event.
        more_settings: Settings as keywords, with underscores: image_size=224.

    Each run is a process of its own. What is done is kept: the same call goes on where it was
    interrupted. Raises as `simulate`, before the first run where that can be known.

    """
    _require_between(2, 100, "folds", folds)
    _require_between(1, 1000, "repeats", repeats)
    _require_between(1, 10_000, "jobs", jobs)
    shared_settings = settings_of(settings, more_settings, config)
    require_free(shared_settings, "settings")
    folders = paths_of(sites)
    if not folders:
        raise ConfigError("No site is given; name the site folders of the study.")
    chosen = plan_simulated(
        folders, None if arms is None else _arms(arms), folds, repeats, shared_settings,
        each_site=each_site, quick=quick,
    )  # fmt: skip
    place = path_of(out)
    try:
        with session(progress):
            run_simulated(chosen, place, jobs)
    except KeyboardInterrupt as error:
        error.add_note("The finished runs are kept: the same call goes on.")
        raise
    return open_study(place)


def open_study(folder: PathLike) -> Study:
    """Open the folder of a finished study; ConfigError where there is none."""
    place = path_of(folder).absolute()
    result = read_study(place)
    grade = result.grade if isinstance(result, StudyResult) else None
    return Study(
        place, result.plan, result.sites, result.arms, result.comparisons, grade, result.not_shown
    )


def _require_between(least: int, most: int, name: str, value: int | None) -> None:
    if value is not None and not least <= value <= most:
        raise ConfigError(f"{name} is {value}; it must lie in {least} to {most}.")


def _arms(arms: Arms) -> tuple[Arm, ...]:
    if isinstance(arms, str | os.PathLike):
        return read_arms(str(path_of(arms)))
    if isinstance(arms, Mapping):
        found = tuple(
            parse_arm("arms", {"name": name, "set": settings_of(own, {})})
            for name, own in arms.items()
        )
    else:
        found = tuple(
            parse_arm("arms", {
                "name": arm.name, "set": settings_of(arm.settings, {}), "sites": list(arm.sites),
                "pooled": arm.pooled,
            })
            for arm in arms
        )  # fmt: skip
    if not found:
        raise ConfigError('arms is empty; name one or more, such as {"full": {"schedule": "full"}}')
    return found


def _row(one: ArmResult | ClassArm, compared: Comparison | None) -> dict[str, Any]:
    low, high = one.auroc_ci95 or (None, None)
    difference_low, difference_high = (compared and compared.ci95) or (None, None)
    return {
        "arm": one.arm.name,
        **_patients(one),
        "auroc": one.auroc.mean,
        "auroc_sd": one.auroc.standard_deviation,
        "auroc_low": low,
        "auroc_high": high,
        **_metrics(one),
        "difference": compared and compared.difference.mean,
        "difference_low": difference_low,
        "difference_high": difference_high,
        "p": compared and compared.p,
        "p_holm": compared and compared.p_holm,
        "rounds": one.rounds and one.rounds.mean,
        "megabytes": one.megabytes,
    }


def _patients(one: ArmResult | ClassArm) -> dict[str, Any]:
    if isinstance(one, ClassArm):
        return {"patients": one.patients}
    return {"positive": one.patients[0], "negative": one.patients[1]}


def _metrics(one: ArmResult | ClassArm) -> dict[str, Any]:
    if isinstance(one, ClassArm):
        return {name: own.over_repeats and own.over_repeats.mean
                for name, own in one.metrics.items()}  # fmt: skip
    return {
        "balanced_accuracy": one.balanced_accuracy.mean,
        "f1": one.f1.mean,
        "brier": one.brier.mean,
    }
