"""What a run's settings leave its schedule to decide."""

from __future__ import annotations

from typing import Any

import pytest

from server.federation.global_model import Reference
from server.local.small import UNTRAINED
from server.schedule.check import check_schedule, require_budget
from shared.errors import ConfigError
from shared.run.events import Event, Noted, Warned, listening
from shared.settings.config import RunConfig


def config_of(**changes: Any) -> RunConfig:
    small: dict[str, Any] = {"backbone": "micro", "schedule": "dynamics", "freeze_rate": 0.5}
    return RunConfig(**(small | {"probe_rounds": 2, "rounds": 9} | changes))


def said(config: RunConfig, reference: Reference) -> list[Event]:
    events: list[Event] = []
    with listening(events.append):
        check_schedule(config, reference)
    return events


def warned(config: RunConfig, reference: Reference) -> list[str]:
    return [event.text for event in said(config, reference) if isinstance(event, Warned)]


def test_a_budget_in_which_nothing_fits(reference: Reference) -> None:
    nothing = config_of(round_budget=0.001)
    with pytest.raises(
        ConfigError, match=r"no unit of micro fits together with the head; set it to"
    ) as e:
        check_schedule(nothing, reference)
    with pytest.raises(ConfigError) as without_weights:
        require_budget(nothing)
    assert str(without_weights.value) == str(e.value)
    # What it advises works, and no less would.
    share = float(str(e.value).partition("set it to ")[2].partition(" ")[0])
    assert said(config_of(round_budget=share), reference)
    require_budget(config_of(round_budget=share))
    with pytest.raises(ConfigError):
        check_schedule(config_of(round_budget=share - 0.001), reference)
    assert said(config_of(round_budget=0.001, rounds=0), reference) == []


def test_what_never_trains_is_said(reference: Reference) -> None:
    assert said(config_of(), reference) == []
    (note,) = said(config_of(round_budget=0.5), reference)
    assert isinstance(note, Noted)
    assert note.text.endswith("so never trained: layer4.0.")


def test_settings_that_do_nothing_are_said(reference: Reference) -> None:
    settings = {"freeze_rate": 0.9, "patience": 5}
    assert warned(config_of(schedule="full", **settings), reference) == [
        "freeze-rate=0.9 has no effect: it is for schedule=dynamics, and this run has "
        "schedule=full.",
        "patience=5 has no effect: it is for schedule=adaptive, and this run has schedule=full.",
    ]
    assert said(RunConfig(), reference) == []


def test_a_run_too_short_to_decide_anything_says_so(reference: Reference) -> None:
    adaptive: dict[str, Any] = {"schedule": "adaptive", "freeze_rate": 0.8, "patience": 4}
    (note,) = said(config_of(**adaptive, rounds=12), reference)
    assert isinstance(note, Noted)
    assert note.text == (
        "The run takes all its rounds: with patience=4 it can end early only with rounds=13 or "
        "more."
    )
    assert said(config_of(**adaptive, rounds=13), reference) == []


def test_shares_of_thaw_at_that_have_no_effect_are_said(reference: Reference) -> None:
    adaptive: dict[str, Any] = {"schedule": "adaptive", "freeze_rate": 0.8, "rounds": 20}
    (sentence,) = warned(config_of(**adaptive, thaw_at="layer4=0,layer3=0.4"), reference)
    assert sentence.startswith("thaw-at=layer4=0.0,layer3=0.4 says which stages thaw, not when")
    for unasked in ("layer4=0,layer3=0,layer2=1", "0.1,0.3,0.6", str(UNTRAINED["thaw-at"])):
        assert said(config_of(**adaptive, thaw_at=unasked), reference) == []


def test_agreement_takes_two_sites(reference: Reference) -> None:
    alone = config_of(select="coherence", sites="north")
    (sentence,) = warned(alone, reference)
    assert sentence.startswith("select=coherence compares sites' updates, and here is one site")
    pooled = config_of(select="coherence", sites="north:east", pooled=True)
    assert warned(pooled, reference) == [sentence]
    assert warned(config_of(select="coherence", sites="north:east"), reference) == []
