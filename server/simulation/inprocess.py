"""The default engine: coordinator and sites in this process, one site after the other."""

from __future__ import annotations

import importlib

from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from server.simulation.grid import InProcessGrid, coordinator_context, site_contexts
from shared.config import RunConfig

# By name, as Flower finds them: the coordinator does not import the sites' package.
SITE_MODULE, COORDINATOR_MODULE = "client.app", "server.app"


def local_grid(config: RunConfig, nodes: int) -> InProcessGrid:
    """A grid whose nodes are the folders of `config.sites`."""
    site_app: ClientApp = importlib.import_module(SITE_MODULE).app
    return InProcessGrid(site_app, site_contexts(config, nodes))


def simulate_in_process(config: RunConfig, nodes: int) -> None:
    """Run the federation of `config.sites` to its end; the result is in the run's folder."""
    coordinator_app: ServerApp = importlib.import_module(COORDINATOR_MODULE).app
    coordinator_app(local_grid(config, nodes), coordinator_context(config))
