from __future__ import annotations

import dataclasses

from shared.settings.config import RunConfig
from shared.settings.training_fields import TrainingSettings


def test_they_are_the_first_of_a_run_s_settings_with_the_same_defaults() -> None:
    """The order is that of config.json and of the page, whichever file lists a setting."""
    own = dataclasses.fields(TrainingSettings)
    whole = dataclasses.fields(RunConfig)
    assert [one.name for one in whole[: len(own)]] == [one.name for one in own]
    assert whole[len(own)].name == "strategy"
    config = RunConfig()
    assert all(getattr(config, one.name) == one.default for one in own)
