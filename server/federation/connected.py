"""Which nodes are connected, which registered site each is, and whether its process is the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flwr.serverapp import Grid

from server.run.process import HOME_VARIABLE
from shared.errors import FedThawError

Registry = Callable[[], Mapping[bytes, str]]
"""Name by public key of all registered sites at this moment."""


@dataclass(frozen=True)
class Presence:
    """A connected node."""

    name: str | None
    """The registered site, None in a simulation."""
    activation: str
    """Changes when the site's process is restarted: what it was asked before is lost then."""


def nobody_registered() -> Mapping[bytes, str]:
    """The registry of a simulation: its nodes are whoever is there."""
    return {}


def registered_sites() -> Registry:
    """The registry of the coordinator's folder where a server process started this run."""
    home = os.environ.get(HOME_VARIABLE)
    if not home:
        return nobody_registered
    from server.link.folder.home import Home
    from server.link.folder.registry import names_by_key, read_registry, valid_sites

    last: Mapping[bytes, str] = {}

    def read() -> Mapping[bytes, str]:
        nonlocal last
        try:
            sites = valid_sites(read_registry(Home(Path(home))), datetime.now(UTC))
            last = names_by_key(sites)
        except (FedThawError, OSError):  # being edited by hand: what was known before holds
            return last
        return last

    return read


def connected(grid: Grid, registry: Registry = nobody_registered) -> dict[int, Presence]:
    """The connected nodes; with a registry only those of registered sites."""
    if registry is nobody_registered:
        return {node: Presence(None, "") for node in grid.get_node_ids()}
    nodes = grid.get_nodes()
    # After the nodes: a key by which one is listed is registered before it is.
    names = registry()
    return {
        node.node_id: Presence(names[node.public_key], node.last_activated_at)
        for node in nodes
        if node.public_key in names
    }
