"""What a site's owner approves: a bundle and the settings that it runs with, under one number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from shared.model.published import NAMED_WEIGHTS
from shared.model.registry import former_settings
from shared.settings.config import RunConfig
from shared.settings.setting import Scalar

SHOWN_DIGITS = 12
"""Of a plan's number, in sentences and commands."""
WEIGHTS_FILE = "a file"
"""What stands for the path of a weights file, which is another one at each machine."""
TEACHER_RUN = "a run"
"""The same for the folder of a teacher's run; its digest says which."""

_FREE = frozenset(
    {"out", "resume", "sites", "pooled", "quick", "tensorboard", "round-timeout", "retries",
     "reconnect-wait", "fold", "seed"}
)  # fmt: skip
"""Settings of the coordinator's machine and patience; and the fold and seed, in which the runs of
one study differ and which choose between sets of whole blocks of patients."""


def approved_settings(config: RunConfig) -> dict[str, Scalar]:
    """The settings that an approval is of: all but those that concern no site.

    Settings of earlier versions only repeat what others say.
    """
    without = _FREE | former_settings().keys()
    settings = {k: v for k, v in config.to_flat().items() if k not in without}
    if config.weights not in NAMED_WEIGHTS:
        settings["weights"] = WEIGHTS_FILE
    if config.teacher:
        settings["teacher"] = TEACHER_RUN
    return settings


def plan_number(bundle: str, settings: Mapping[str, Scalar]) -> str:
    """64 hexadecimal digits that stand for this code with these `approved_settings`."""
    text = json.dumps([bundle, dict(settings)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
