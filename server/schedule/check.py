"""What a run's settings leave its schedule to decide, said before it begins."""

from __future__ import annotations

import functools

from server.federation.global_model import Reference
from shared.errors import ConfigError
from shared.model.manifest import sizes_of_units
from shared.model.network import build_network
from shared.run.events import Noted, Warned, emit
from shared.settings.adaptive import decisions
from shared.settings.config import RunConfig
from shared.settings.dynamics import Budget, Sizes, candidates
from shared.settings.setting import key_of
from shared.settings.stage_values import DEFAULTS, SMALL_THAWS, parse_stage_values

_NEEDED = {
    "select": "dynamics",
    "freeze_rate": "dynamics",
    "round_budget": "dynamics",
    "patience": "adaptive",
}
"""The schedule that each of these settings is for."""


def require_budget(config: RunConfig) -> None:
    """ConfigError where round-budget leaves no unit but the head; before weights are loaded."""
    if config.schedule == "dynamics":
        _outside(config, _sizes_of(config))


def units_beyond_budget(config: RunConfig) -> tuple[str, ...]:
    """The units that may train but for round-budget, which is smaller than each with the head."""
    if config.schedule != "dynamics" or config.rounds == 0:
        return ()
    return _beyond(config, _sizes_of(config))


def check_schedule(config: RunConfig, reference: Reference) -> None:
    """Say what never trains, what cannot be decided, and which settings have no effect.

    ConfigError as `require_budget`.
    """
    _say_unused(config)
    if config.schedule == "adaptive":
        _say_without_shares(config)
        _say_undecided(config)
    if config.schedule != "dynamics":
        return
    if config.select == "coherence" and config.simulated_sites == 1:
        emit(
            Warned(
                "select=coherence compares sites' updates, and here is one site: units are chosen "
                "in an order that the seed draws. Choose select=distance, or more sites."
            )
        )
    outside = _outside(config, sizes_of_units(reference.network, config.batch_norm))
    if outside:
        emit(
            Noted(
                f"Larger than round-budget={config.round_budget:g} allows, so never trained: "
                f"{', '.join(outside)}."
            )
        )


def _say_unused(config: RunConfig) -> None:
    usual = RunConfig()
    for name, schedule in _NEEDED.items():
        value = getattr(config, name)
        if config.schedule != schedule and value != getattr(usual, name):
            emit(
                Warned(
                    f"{key_of(name)}={value} has no effect: it is for schedule={schedule}, and "
                    f"this run has schedule={config.schedule}."
                )
            )


def _say_without_shares(config: RunConfig) -> None:
    """A stage never thaws with the share 1; the other shares are of progressive and dual alone.

    Those of the small settings (`--quick`, the demo) nobody has chosen.
    """
    unasked = (DEFAULTS["thaw-at"], SMALL_THAWS)
    if any(parse_stage_values("thaw-at", one, config.network) == config.thaws for one in unasked):
        return
    if config.rounds > 0 and any(0 < one < 1 for one in config.thaws.values()):
        emit(
            Warned(
                f"thaw-at={config.thaw_at} says which stages thaw, not when: schedule=adaptive "
                "thaws them together. For its shares set schedule=progressive."
            )
        )


def _say_undecided(config: RunConfig) -> None:
    """Only where somebody has chosen a patience: else the default simply has no effect."""
    chosen = config.patience != RunConfig().patience
    if chosen and config.rounds > 0 and not decisions(config):
        least = 3 * config.patience + 1
        emit(
            Noted(
                f"The run takes all its rounds: with patience={config.patience} it can end early "
                f"only with rounds={least} or more."
            )
        )


def _outside(config: RunConfig, sizes: Sizes) -> tuple[str, ...]:
    """The units that are larger than the budget; ConfigError where all are."""
    if config.rounds == 0:
        return ()
    outside = _beyond(config, sizes)
    if len(outside) == len(candidates(config)):
        least = sizes[config.network.head] + min(sizes[unit] for unit in outside)
        raise ConfigError(
            f"round-budget is {config.round_budget:g}, in which no unit of {config.backbone} fits "
            f"together with the head; set it to {_above(least / sum(sizes.values()))} or more, or "
            "schedule=probe."
        )
    return outside


def _beyond(config: RunConfig, sizes: Sizes) -> tuple[str, ...]:
    budget = Budget.of(config, sizes)
    return tuple(unit for unit in candidates(config) if not budget.admits([unit], sizes))


def _sizes_of(config: RunConfig) -> Sizes:
    return _sizes(config.backbone, config.outputs, config.channels, config.batch_norm)


@functools.lru_cache(maxsize=16)
def _sizes(backbone: str, outputs: int, channels: int, batch_norm: str) -> Sizes:
    network = build_network(backbone, outputs=outputs, channels=channels)
    return sizes_of_units(network, batch_norm)


def _above(share: float) -> str:
    """The share, rounded up to a decimal that allows it."""
    return f"{int(share * 1000 + 1) / 1000:g}"
