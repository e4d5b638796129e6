"""Whether a run's pretrained weights are there and load, before anything is begun with them."""

from __future__ import annotations

import functools

from shared.libraries import undisturbed
from shared.run.events import show_download
from shared.settings.config import RunConfig


def require_weights(config: RunConfig, *, fetch: bool) -> None:
    """Load the weights that a run names, once for those that several runs share.

    Published ones that this machine does not have yet are fetched with `fetch`, else left to the
    run. WeightsError or ConfigError as `load_base`.
    """
    if config.weights == "random" and not config.weights_sha256:
        return
    # What else a configuration says does not matter to them.
    only = RunConfig(
        weights=config.weights, weights_sha256=config.weights_sha256, backbone=config.backbone
    )
    _load(only, fetch)


def forget() -> None:
    """Forget which weights have loaded: their files may have changed."""
    _load.cache_clear()


@functools.lru_cache(maxsize=64)
def _load(config: RunConfig, fetch: bool) -> None:
    # Imported here: it brings torch, which a wrong setting need not wait for.
    with undisturbed():
        from shared.model.pretrained import checkpoint_in_place, load_base

    if config.weights != "random" and checkpoint_in_place(config) is None and not fetch:
        return
    load_base(config, on_progress=show_download)
