"""Which site folders this process stands for, and whose weights it may read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shared.errors import ConfigError, SiteError
from shared.model.published import NAMED_WEIGHTS
from shared.settings.config import RunConfig


def site_folders(node_config: Mapping[str, object], config: RunConfig) -> tuple[Path, ...]:
    """The folders that this node stands for; ConfigError where nothing names them."""
    own = node_config.get("site")
    if isinstance(own, str) and own:
        return (Path(own),)
    folders = config.site_folders
    partition = node_config.get("partition-id")
    if not folders or not isinstance(partition, int):
        raise ConfigError(
            "This node knows no site folder: start it with `fedthaw site run`, or in a simulation "
            "set sites=FOLDER:FOLDER in the run configuration."
        )
    if config.pooled:
        return tuple(map(Path, folders))
    if partition >= len(folders):
        raise ConfigError(
            f"The simulation has more nodes than the {len(folders)} folders in `sites`; "
            f"set the number of SuperNodes to {len(folders)}."
        )
    return (Path(folders[partition]),)


def require_own_weights(node_config: Mapping[str, object], own: str | None, asked: str) -> None:
    """SiteError where a coordinator elsewhere names a file of this machine.

    Which files a site has is none of its business, and its path is seldom right here.
    """
    if node_config.get("deployed") and own is None and asked not in NAMED_WEIGHTS:
        raise SiteError(
            f"The run's weights are a file, {asked} at the coordinator; name this site's copy of "
            "it as weights in [compute] of site.toml.",
            shareable=(
                "it must name its own copy of the run's weights file in its site.toml ([compute] "
                "weights)"
            ),
        )
