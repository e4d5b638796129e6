"""What is asked of a simulation, and the run configuration that this makes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from server.local.small import small_settings
from server.run.folder import ended_before_it_began, open_run
from server.run.paths import default_folder, with_absolute_paths
from server.training.declared_outcome import declared_by_sites
from shared.errors import ConfigError
from shared.settings.config import RunConfig
from shared.settings.overrides import OWN_OPTIONS
from shared.settings.parse import parse_run_config
from shared.settings.setting import Scalar
from shared.settings.stage_values import replaced

PHANTOM_HOSPITALS = ("north", "east", "south", "west")


@dataclass(frozen=True)
class Request:
    """A simulation as its user asks for it."""

    sites: tuple[Path, ...] = ()
    """Site folders; without any, phantoms, or with `resume` those that the run began with."""
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    """By their keys, such as `image-size`."""
    out: Path | None = None
    resume: bool = False
    pooled: bool = False
    quick: bool = False
    """Small settings where none are given, and results that say so."""

    @property
    def of_phantoms(self) -> bool:
        """Whether the phantom hospitals have to be made."""
        return not self.sites and not self.resume


def resolve(request: Request) -> RunConfig:
    """The whole configuration of a simulation, all paths absolute.

    ConfigError for settings that are not valid, or that have arguments of their own, for folders
    that are given twice, and where there is no run to continue.
    """
    if reserved := OWN_OPTIONS & set(request.settings):
        raise ConfigError(
            f"{', '.join(sorted(reserved))} cannot be set with --set here; name the site folders "
            "as arguments and use --out, --resume, --pool and --quick."
        )
    if request.resume and request.out is None:
        raise ConfigError("--resume needs --out with the folder of the run to continue.")
    folder = (request.out or default_folder()).absolute()
    if request.resume and not (request.sites and ended_before_it_began(folder)):
        return _stored(folder, request)
    settings, sites = request.settings, request.sites
    if request.quick or not sites:
        settings = small_settings(settings)
    if not sites:
        sites = tuple(phantoms_folder(folder) / name for name in PHANTOM_HOSPITALS)
    folders = _distinct(sites)
    if "outcome" not in settings and not request.of_phantoms:
        settings = {**settings, "outcome": declared_by_sites(folders)}
    given: dict[str, Scalar] = {
        "min-sites": min(2, 1 if request.pooled else len(folders)),
        **settings,
        "out": str(folder),
        "sites": os.pathsep.join(map(str, folders)),
        "resume": request.resume,
        "pooled": request.pooled,
        "quick": request.quick,
    }
    return with_absolute_paths(parse_run_config(given))


def phantoms_folder(run: Path) -> Path:
    """Where the phantom hospitals of a run are made."""
    return run.parent / "phantoms"


def _distinct(sites: Sequence[Path]) -> list[Path]:
    """The absolute folders; ConfigError where one cannot be passed on, or is named twice."""
    folders = [site.absolute() for site in sites]
    seen: set[Path] = set()
    for folder in folders:
        if os.pathsep in str(folder):
            raise ConfigError(
                f"The site folder {folder} has '{os.pathsep}' in its path, by which folders are "
                "separated; rename it, or name it by a link."
            )
        if folder.resolve() in seen:
            raise ConfigError(f"The site folder {folder} is given twice; name each site once.")
        seen.add(folder.resolve())
    return folders


def _stored(folder: Path, request: Request) -> RunConfig:
    """The configuration that a run to be continued began with, and what is given now."""
    flat = open_run(folder).config.to_flat()
    if request.quick and not flat["quick"]:
        raise ConfigError(
            f"The run in {folder} was not begun with --quick; leave it out to continue the run, or "
            "choose another --out for a quick look."
        )
    given = dict(request.settings) | ({"pooled": True} if request.pooled else {})
    names = list(map(str, _distinct(request.sites)))
    if names and set(names) != set(str(flat["sites"]).split(os.pathsep)):
        given["sites"] = os.pathsep.join(names)
    return with_absolute_paths(
        parse_run_config({**replaced(flat, given), "out": str(folder), "resume": True})
    )
