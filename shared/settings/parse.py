"""A run's settings from the flat mapping of kebab-case keys in which Flower carries them.

`parse_run_config` is the only place that reads such a mapping; everything behind it sees a
`RunConfig`.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

from shared.errors import ConfigError
from shared.model.backbone import Backbone
from shared.model.registry import BACKBONES, backbone_of, former_settings
from shared.settings.config import RunConfig
from shared.settings.renamed import with_activations
from shared.settings.setting import coerced, key_of
from shared.settings.stage_values import with_former


def parse_run_config(flat: Mapping[str, object]) -> RunConfig:
    """Parse a flat mapping of kebab-case keys; keys that are left out take their defaults.

    Settings of earlier versions (`former_settings`, `recompute`) are taken too. ConfigError for an
    unknown key, a value of the wrong type or out of range.
    """
    known = {key_of(f.name): f for f in dataclasses.fields(RunConfig)}
    values: dict[str, Any] = {}
    for key, value in with_former(with_activations(flat), _backbone_in(flat)).items():
        if key not in known:
            raise unknown_setting(key)
        values[known[key].name] = coerced(known[key], value)
    return RunConfig(**values)


def _backbone_in(flat: Mapping[str, object]) -> Backbone:
    """That of these settings; the default's where it is missing, or wrong and refused later."""
    name = flat.get("backbone")
    return BACKBONES.get(name if isinstance(name, str) else "", backbone_of(RunConfig.backbone))


def unknown_setting(key: str) -> ConfigError:
    """The error for a key that is no setting, with the one that may have been meant."""
    known = [*(key_of(f.name) for f in dataclasses.fields(RunConfig)), *former_settings()]
    close = difflib.get_close_matches(key.replace("_", "-"), known, n=1)
    meant = f"; did you mean '{close[0]}'?" if close else "."
    return ConfigError(f"Unknown setting '{key}'{meant}")
