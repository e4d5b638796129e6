"""A plan as records and back."""

from __future__ import annotations

import json

import pytest
from flwr.app import ConfigRecord
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ProtocolError
from shared.model.resnet import RESNET50
from shared.protocol.plan import plan_from_record, plan_to_values
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan, plan_round

PLAN = plan_round(RunConfig(schedule="progressive"), 17)


def record_of(plan: Plan, **changed: object) -> ConfigRecord:
    values: dict[str, object] = {**plan_to_values(plan)}
    values |= {key.replace("_", "-"): value for key, value in changed.items()}
    return ConfigRecord(values)  # type: ignore[arg-type]  # what a peer might send


@given(st.sampled_from(["progressive", "full", "probe"]), st.integers(1, 30))
def test_every_plan_survives(schedule: str, number: int) -> None:
    plan = plan_round(RunConfig(schedule=schedule), number)
    assert plan_from_record(record_of(plan), RESNET50) == plan
    assert json.loads(json.dumps(plan_to_values(plan))) == plan_to_values(plan)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"round": 0}, "'round' is missing or not an integer of at least 1"),
        ({"phase": "warm-up"}, "phase is 'warm-up'; it must be probe, dual, fine-tune"),
        ({"position": 20}, "position 20 lies outside 20"),
        ({"position": -1}, "'position' is missing or not an integer"),
        ({"length": 0}, "'length' is missing or not an integer of at least 1"),
        ({"rates": [1e-3]}, "not one learning rate for each part that trains"),
        ({"rates": [1e-3] * 4}, "not one learning rate for each part that trains"),
        ({"rates": [1e-3, -1.0, 1e-3]}, "'rates' holds something"),
        ({"trainable": [], "rates": []}, "the plan trains nothing"),
        ({"trainable": ["layer3", "layer4", "neck"]}, "trainable names "),
        ({"trainable": ["head", "layer4", "layer3"]}, "trainable names "),
        ({"trainable": ["layer4", "head", "head"]}, "trainable names "),
        (
            {"trainable": ["layer4.0", "layer4.1", "layer4.2"]},
            "a stage once rather than all of its units",
        ),
        ({"trainable": ["layer3", "layer4", "layer4.1"]}, "trainable names "),
        ({"thawed": ["head", "head"]}, "thawed names "),
        ({"thawed": ["fc"]}, "thawed names "),
        ({"cutmix_probability": 1.5}, "CutMix probability is 1.5, above 1"),
        ({"cutmix_probability": -0.5}, "'cutmix-probability' is -0.5; it must be finite"),
    ],
    ids=str,
)
def test_a_plan_that_contradicts_itself(changed: dict[str, object], sentence: str) -> None:
    with pytest.raises(ProtocolError, match=sentence):
        plan_from_record(record_of(PLAN, **changed), RESNET50)
