"""A finished run's model teaches a smaller network at each site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.run.paths import with_absolute_paths
from shared.errors import ConfigError
from shared.run.events import Event, RoundFinished, listening
from shared.settings.config import RunConfig

MakeConfig = Callable[..., RunConfig]
Simulate = Callable[[RunConfig], dict[str, Any]]


class Stopped(Exception):
    """As if the process had been killed."""


@pytest.mark.slow
def test_a_taught_run_is_another_and_has_the_same_bytes_resumed(
    federated: MakeConfig, simulate: Simulate
) -> None:
    teacher = federated("teacher")
    simulate(teacher)
    settings: dict[str, Any] = {
        "backbone": "tiny", "weights": "random", "probe_rounds": 1, "rounds": 2, "thaw_at": "0,0,0",
    }  # fmt: skip
    taught = {**settings, "teacher": teacher.out}
    alone = federated("alone", **settings)
    whole, cut = (with_absolute_paths(federated(out, **taught)) for out in ("whole", "cut"))
    uncached = with_absolute_paths(federated("bare", **{**taught, "feature_cache": "off"}))

    def stop(event: Event) -> None:
        if isinstance(event, RoundFinished) and event.round == 2:
            raise Stopped

    for config in (alone, whole, uncached):
        simulate(config)
    with listening(stop), pytest.raises(Stopped):
        simulate(cut)
    simulate(replace(cut, resume=True))
    models = [Path(c.out, "model.safetensors").read_bytes() for c in (whole, cut, uncached)]
    assert models[0] == models[1] == models[2]
    assert models[0] != Path(alone.out, "model.safetensors").read_bytes()
    assert len(models[0]) < 100_000
    with pytest.raises(ConfigError, match="but teacher-sha256 is 00"):
        with_absolute_paths(replace(whole, teacher_sha256="0" * 64))
