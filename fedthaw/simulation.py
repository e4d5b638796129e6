"""A whole federation on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from fedthaw.arguments import PathLike, path_of, paths_of, settings_of
from fedthaw.progress import Progress
from fedthaw.run import Run, open_run
from fedthaw.session import session
from server.local.request import Request
from server.local.simulation import Backend
from server.local.simulation import simulate as run_simulation
from shared.errors import ConfigError
from shared.settings.setting import Scalar


def simulate(
    sites: PathLike | Iterable[PathLike] = (),
    *,
    out: PathLike | None = None,
    settings: Mapping[str, Scalar] | None = None,
    config: PathLike | None = None,
    resume: bool = False,
    pooled: bool = False,
    quick: bool = False,
    engine: Literal["in-process", "ray"] = "in-process",
    progress: Progress = True,
    **more_settings: Scalar,
) -> Run:
    """Run a federation of site folders to its end; the same bytes as `fedthaw simulate`.

    Args:
        sites: Site folders; without any, four hospitals of phantoms are made next to `out`.
        out: The run's folder; by default runs/<time>.
        settings: Run settings by name, as {"rounds": 30}; `fedthaw settings` lists them.
        config: A TOML file of run settings, as for --config; `settings` win over it.
        resume: Continue the run in `out`. With `sites`, begin it where there is none yet.
        pooled: Train on all sites' data as if in one place.
        quick: A quick look: a small network, small images, few rounds; given settings win.
        engine: This process, or Flower's simulation engine.
        progress: True shows it, False only warnings; a function is called with each event.
        more_settings: Settings as keywords, with underscores: image_size=224.

    An interrupted call (the notebook's stop button, Ctrl-C) keeps the finished rounds; the same
    call with resume=True goes on. Raises ConfigError, SiteError or WeightsError for what the caller
    can fix, RunError where the run cannot go on.

    """
    chosen = settings_of(settings, more_settings, config)
    folders = paths_of(sites)
    place = None if out is None else path_of(out)
    if engine not in tuple(Backend):
        raise ConfigError(f"engine is {engine!r}; it must be one of {', '.join(Backend)}.")
    if resume and folders and place is not None and _is_empty(place):
        resume = False
    request = Request(folders, chosen, place, resume, pooled, quick)
    try:
        with session(progress):
            folder = run_simulation(request, Backend(engine))
    except KeyboardInterrupt as error:
        error.add_note("The finished rounds are kept: call it again with resume=True to go on.")
        raise
    return open_run(folder)


def _is_empty(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
