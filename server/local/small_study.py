"""The small settings of `fedthaw study --quick`, the same for all arms, or why there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from server.local.small import PRETRAINED, UNTRAINED, is_pretrained, small_settings
from server.results.plan import Arm
from shared.errors import ConfigError
from shared.model.registry import former_settings
from shared.settings.config import RunConfig
from shared.settings.parse import parse_run_config
from shared.settings.setting import Scalar

_INSTEAD = "leave --quick out, or compare other arms with it (--arms)."
_OF_FINE_TUNING = (
    "schedule", "select", "freeze_rate", "round_budget", "patience", "thaw_at", "rates",
    "rate_policy", "lr_head", "cutmix_probability", "cutmix_alpha", "weight_decay_head", "end",
    "average_share",
)  # fmt: skip
"""Settings that change nothing in rounds of the head alone."""
_OTHER_PROBES = {"logistic", "dual"}
"""Schedules that do not begin by training the head."""


def small_study(arms: Sequence[Arm], given: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The settings of all arms: small ones, and those given in their place.

    What every arm sets by itself is theirs. ConfigError where --quick would make some arms small
    and others not, so that their difference would be its doing; and where it leaves no difference.
    """
    own = [{_present(key) for key in arm.settings} for arm in arms]
    by_all = set.intersection(*own)
    kinds = [is_pretrained({**given, **arm.settings}) for arm in arms]
    if len(set(kinds)) > 1:
        one = arms[kinds.index(not kinds[0])]
        raise ConfigError(
            f"Arm '{one.name}' starts from {'pretrained' if kinds[0] is False else 'untrained'} "
            f"weights and '{arms[0].name}' does not; --quick has other settings for each, which "
            f"cannot be compared: {_INSTEAD}"
        )
    chosen = PRETRAINED if kinds[0] else UNTRAINED
    for arm, keys in zip(arms, own, strict=True):
        if partly := sorted((keys - by_all) & chosen.keys() - {_present(key) for key in given}):
            raise ConfigError(
                f"Arm '{arm.name}' sets {partly[0]}, which --quick makes small in the other arms, "
                f"so that they cannot be compared: {_INSTEAD} Settings that every arm has are "
                "taken as they are."
            )
    first = arms[0].settings
    small = small_settings({**{k: first[k] for k in ("weights",) if k in first}, **given})
    theirs = by_all | (former_settings().keys() if "backbone" in by_all else set())
    settings = {
        key: value
        for key, value in small.items()
        if key in given or not {key, _present(key)} & theirs
    }
    _require_differences(arms, settings)
    return settings


def _present(key: str) -> str:
    """The setting that one of an earlier version has become."""
    known = former_settings()
    return known[key][0] if key in known else key


def _require_differences(arms: Sequence[Arm], settings: Mapping[str, Scalar]) -> None:
    runs = [(arm, parse_run_config({**settings, **arm.settings})) for arm in arms]
    for (one, first), (two, second) in combinations(runs, 2):
        if (one.sites, one.pooled) == (two.sites, two.pooled) and _alike(first, second):
            raise ConfigError(
                f"Arms '{one.name}' and '{two.name}' would be trained alike: with --quick and "
                "these weights the head alone is trained. Give --set rounds=4 for a little "
                "fine-tuning, which takes longer, or leave --quick out."
            )


def _alike(one: RunConfig, two: RunConfig) -> bool:
    """Whether both train the head alone, in the same way."""
    other_probes = one.schedule != two.schedule and _OTHER_PROBES & {one.schedule, two.schedule}
    if one.rounds or other_probes:
        return False
    return replace(two, **{name: getattr(one, name) for name in _OF_FINE_TUNING}) == one
