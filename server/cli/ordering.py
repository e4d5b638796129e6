"""What every order to a coordinator needs: a configuration with its weights, and a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import typer

from server.link.folder.home import Home, is_served
from server.link.folder.journal import Event, note
from server.link.folder.registry import read_registry, valid_sites
from server.link.jobs.orders import Order, settings_for_sites
from server.link.progress.status import read_status
from server.run.paths import with_absolute_paths
from server.terminal.progress import reporting
from server.terminal.rough import time_in_words
from server.training.weights import require_weights
from shared.errors import ConfigError
from shared.model.published import NAMED_WEIGHTS, PUBLISHED_WEIGHTS, cache_folder
from shared.settings.config import RunConfig
from shared.settings.parse import parse_run_config
from shared.settings.run_plan import SHOWN_DIGITS, approved_settings, plan_number
from shared.settings.setting import Scalar
from shared.storage.files import make_private_folder, write_private


def config_of(settings: Mapping[str, Scalar]) -> RunConfig:
    """The configuration of a run at the coordinator's sites.

    ConfigError without its weights, and where round-budget leaves no unit but the head;
    WeightsError where the weights do not load.
    """
    config = with_absolute_paths(parse_run_config(settings))
    if config.weights not in NAMED_WEIGHTS and not Path(config.weights).is_file():
        raise ConfigError(
            f"There is no weights file {config.weights}; the coordinator needs the same one as its "
            "sites."
        )
    if config.schedule == "dynamics":
        # Imported here: it brings torch, which a wrong setting need not wait for.
        from server.schedule.check import require_budget

        require_budget(config)
    require_weights(config, fetch=False)
    return config


def require_weights_here(home: Home, config: RunConfig) -> None:
    """Fetch published weights now that the run would fetch; WeightsError where that fails.

    The server process may see another cache, or the network otherwise, than this command: then it
    is left to the run, and said.
    """
    if config.weights not in PUBLISHED_WEIGHTS or _in_place(config):
        return
    if is_served(home) and read_status(home).get("cache") == str(cache_folder()):
        with reporting():
            require_weights(config, fetch=True)
    else:
        typer.echo(
            f"The weights {config.weights} are not on this machine as this command sees it; the "
            "run fetches them when it begins, or fails.",
            err=True,
        )


def _in_place(config: RunConfig) -> bool:
    # Imported here: it brings torch, which a wrong setting need not wait for.
    from shared.model.pretrained import checkpoint_in_place

    return checkpoint_in_place(config) is not None


def require_enough_registered(home: Home, config: RunConfig) -> None:
    """ConfigError where fewer sites are registered than a round needs: it could never begin."""
    now = datetime.now(UTC)
    names = sorted({site.name for site in valid_sites(read_registry(home), now)})
    if len(names) < config.min_sites:
        known = f"only {', '.join(names)}" if names else "no site"
        verb = "are" if len(names) > 1 else "is"
        raise ConfigError(
            f"min-sites is {config.min_sites}, but {known} {verb} registered here; register "
            "others with `fedthaw server register NAME key.pub`"
            + (f", or --set min-sites={len(names)}." if names else ".")
        )


def keep_bundle(home: Home) -> str:
    """Put the installed fedthaw into the coordinator's folder as a bundle; its digest."""
    from shared.run.bundle import build_bundle

    bundle = build_bundle()
    make_private_folder(home.path / "bundles")
    write_private(home.path / "bundles" / f"{bundle.digest}.fab", bundle.content)
    return bundle.digest


def note_order(home: Home, order: Order) -> None:
    """Write a run or a study's questions into the audit log, with all settings."""
    settings = settings_for_sites(order.config)
    note(home, Event.submitted, name=order.name, bundle=order.bundle, settings=settings)


def tell_bundle(digest: str, configs: Iterable[RunConfig], *, new: bool) -> None:
    """Say which code the sites will run by which plans, and of new ones how owners allow them."""
    orders = list(configs)
    plans = dict.fromkeys(plan_number(digest, approved_settings(one)) for one in orders)
    shown = ", ".join(plan[:SHOWN_DIGITS] for plan in plans)
    typer.echo(f"Bundle: {digest}", err=True)
    word = "Plan" if len(plans) == 1 else "Plans"
    typer.echo(f"{word} (that code with its settings): {shown}", err=True)
    if new:
        wait = time_in_words(max(one.round_timeout for one in orders))
        typer.echo(
            "Each site's owner allows each plan once, there: `fedthaw site approve FOLDER` shows "
            "what waits, `fedthaw site approve FOLDER PLAN` allows it. A run waits up to "
            f"{wait} (round-timeout) for min-sites sites, then fails; --resume waits again.",
            err=True,
        )


def tell_unless_served(home: Home, what: str) -> None:
    """Say so where no server process is there to take the order; `what` is to begin."""
    if not is_served(home):
        typer.echo(
            f"No server process is running here: the {what} begins when `fedthaw server run "
            f"--home {home.path}` is started.",
            err=True,
        )
