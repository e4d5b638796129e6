"""The default engine: coordinator and sites in this process, one site after the other."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from server.simulation.grid import InProcessGrid, coordinator_context, site_contexts
from server.simulation.interrupt import Check, kept_interrupts, no_check
from shared.libraries import undisturbed
from shared.run.patient_scores import ScoreFile
from shared.settings.config import RunConfig
from shared.terminal.logs import quieten_flower

# By name, as Flower finds them: the coordinator does not import the sites' package.
SITE_MODULE, COORDINATOR_MODULE, READY_MODULE = "client.app", "server.app", "client.ready"
SCORES_MODULE, COPIES_MODULE = "client.own_scores", "client.copies"


def local_grid(
    config: RunConfig,
    nodes: int,
    node_config: Mapping[str, str] | None = None,
    check: Check = no_check,
) -> InProcessGrid:
    """A grid whose nodes are the folders of `config.sites`, or what `node_config` says of them.

    `check` is called after each answer, and raises what is to end the run.
    """
    _quieten_flower()
    site_app: ClientApp = _imported(SITE_MODULE).app
    contexts = site_contexts(config, nodes)
    for context in contexts:
        context.node_config.update(node_config or {})
    return InProcessGrid(site_app, contexts, check)


def simulate_in_process(config: RunConfig, nodes: int) -> None:
    """Run the federation of `config.sites` to its end; the result is in the run's folder."""
    coordinator_app: ServerApp = _imported(COORDINATOR_MODULE).app
    with kept_interrupts() as check:
        coordinator_app(local_grid(config, nodes, check=check), coordinator_context(config))


def require_ready_sites(folders: Sequence[Path], config: RunConfig) -> None:
    """SiteError with all that is wrong at these folders as far as no image need be read for it."""
    _imported(READY_MODULE).require_ready(folders, config)


def images_at_two_sites(folders: Sequence[Path]) -> tuple[str, ...]:
    """A sentence for each two of these sites that have the same image files."""
    found: tuple[str, ...] = _imported(COPIES_MODULE).images_at_two_sites(folders)
    return found


def look_at_cohort(folder: Path, columns: Sequence[str]) -> tuple[str, dict[str, set[str]]]:
    """The name of the site in this folder, and what these columns of its table say.

    SiteError where it cannot be evaluated by them. No image is read for that.
    """
    found: tuple[str, dict[str, set[str]]] = _imported(SCORES_MODULE).look_at(folder, columns)
    return found


def kept_scores(folder: Path, run: str) -> tuple[ScoreFile, ...]:
    """What the site in this folder kept of its patients' scores under the final model of a run."""
    found: tuple[ScoreFile, ...] = _imported(SCORES_MODULE).kept_scores(folder, run)
    return found


def _imported(name: str) -> ModuleType:
    """A module of the sites or of the coordinator."""
    with undisturbed():
        return importlib.import_module(name)


def _quieten_flower() -> None:
    """Flower sets its log to INFO when it is imported; its strategies then log every round."""
    if not logging.getLogger("fedthaw").isEnabledFor(logging.DEBUG):
        quieten_flower()
