"""A simulation from what is asked to a complete run's folder."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

from server.local.request import Request, phantoms_folder, resolve
from server.results.quick import quick_look
from server.results.shown import Audience, audience_of
from server.run.folder import locked, prepare_folder
from server.tracking.choose import require_packages
from server.training.leakage import teacher_leakage
from shared.errors import FedThawError
from shared.protocol.replies import own_sites
from shared.run.events import Noted, Warned, emit
from shared.run.finished import read_finished_run
from shared.settings.config import RunConfig
from shared.storage.files import private_files, write_private

_DEMO_TIME = "With the defaults the demo takes one to three minutes on two cores."


class Backend(StrEnum):
    """The engine of a simulation."""

    in_process = "in-process"
    ray = "ray"


def simulate(request: Request, backend: Backend) -> Path:
    """Run the federation, or what is left of it, to its end; returns the run's folder.

    Raises ConfigError or SiteError for what the user can fix, RunError where the run cannot go on;
    what was done until then, and until KeyboardInterrupt, is kept.
    """
    config = resolve(request)
    require_packages(config)
    if _is_complete(config):
        emit(Noted(f"The run in {config.out} is complete; this is its result."))
    else:
        if not request.of_phantoms:
            _require_ready(config)  # what is wrong there needs no download to be said
        _require_weights(config)  # before anything is made or read
        if (sentence := teacher_leakage(config)) is not None:
            emit(Warned(sentence))
        if config.quick:
            emit(Noted(quick_look(config)))
        if request.of_phantoms:
            _make_phantoms(phantoms_folder(Path(config.out)))
        _run(config, backend)
    return Path(config.out)


def _is_complete(config: RunConfig) -> bool:
    """Whether the run to continue is; else its folder is made, or ConfigError says why not."""
    folder = prepare_folder(config)
    if folder.complete:
        return True
    with locked(folder):  # whoever works on it says so now, before anything is read
        return False


def _make_phantoms(folder: Path) -> None:
    from shared.phantoms.hospitals import write_hospitals

    emit(Noted(f"No site folder given: making four synthetic hospitals in {folder}. {_DEMO_TIME}"))
    write_hospitals(folder)


def _require_ready(config: RunConfig) -> None:
    from server.simulation.inprocess import images_at_two_sites, require_ready_sites

    if os.environ.get("RAY_ADDRESS"):  # whose machines have folders and GPUs of their own
        return
    with own_sites(), private_files():
        folders = [Path(folder) for folder in config.site_folders]
        require_ready_sites(folders, config)
        for sentence in images_at_two_sites(folders):
            emit(Warned(sentence))


def _require_weights(config: RunConfig) -> None:
    # Imported here, as below: it brings torch, which a wrong setting need not wait for.
    from server.training.weights import require_weights

    with own_sites(), private_files():
        require_weights(config, fetch=True)


def _run(config: RunConfig, backend: Backend) -> None:
    if backend is Backend.ray:
        from server.simulation.ray import simulate_on_ray as engine
    else:
        from server.simulation.inprocess import simulate_in_process as engine
    with own_sites(), private_files():
        engine(config, config.simulated_sites)
        if audience_of(config) is Audience.OWNER:
            _write_patient_scores(config)


def _write_patient_scores(config: RunConfig) -> None:
    """Write the patients' scores next to the run; a failure is only reported."""
    from server.simulation.inprocess import kept_scores
    from shared.run.score_table import FILE, scores_csv

    run = Path(config.out)
    try:
        finished = read_finished_run(run)
        found = [kept_scores(Path(one), finished.stored.run) for one in config.site_folders]
        files = [file for own in found for file in own]
        if not files:  # those of another machine of a cluster
            emit(Noted("The patients' scores are kept at the sites; see `fedthaw site scores`."))
            return
        chosen = finished.calibration.recalibration if finished.calibration else None
        write_private(run / FILE, scores_csv(files, chosen).encode("utf-8", "backslashreplace"))
    except (FedThawError, OSError) as error:
        emit(Warned(f"The run is complete, but its scores could not be written ({error})."))
