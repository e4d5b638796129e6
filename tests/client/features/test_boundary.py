from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from client.features.boundary import (
    evaluation_boundary,
    evaluation_passes,
    training_boundary,
    training_passes,
)
from shared.model.registry import backbone_of
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round, stages_ever_thawed, total_rounds

STAGES = backbone_of("micro").stages

SETTINGS: dict[str, dict[str, Any]] = {
    "recipe": {},
    "unmixed": {"cutmix_probability": 0.0},
    "epochs": {"local_epochs": 3, "cutmix_probability": 0.0},
    "full": {"schedule": "full"},
    "probe": {"schedule": "probe"},
    "probe-unmixed": {"schedule": "probe", "cutmix_probability": 0.0},
    "no-probe": {"probe_rounds": 0, "cutmix_probability": 0.0},
    "short": {"probe_rounds": 1, "rounds": 2},
    "plain": {"augmentation": "none"},
}


def slow_boundary(config: RunConfig, number: int) -> str:
    """By the words of the design: the first that trains; mixing takes maps, not averages."""
    plan = plan_round(config, number)
    for stage in STAGES:
        if stage in plan.trainable:
            mixed = plan.phase == "fine-tune" and config.cutmix_probability > 0
            return "layer4" if stage == "head" and mixed else stage
    raise AssertionError


@pytest.mark.parametrize("name", list(SETTINGS))
def test_training_passes_are_those_of_the_rounds_to_come(name: str) -> None:
    """In every round; the first that a site sees may be any."""
    config = RunConfig(**SETTINGS[name])
    for number in range(1, total_rounds(config) + 1):
        plan = plan_round(config, number)
        boundary = training_boundary(config, plan)
        assert boundary == slow_boundary(config, number)
        ahead = Counter(slow_boundary(config, n) for n in range(number, total_rounds(config) + 1))
        expected = {
            stage: count * config.local_epochs
            for stage, count in ahead.items()
            # What is thawed already never freezes again, but a head that mixes begins earlier.
            if stage != "stem"
            and STAGES.index(stage) <= STAGES.index(boundary)
            # Images that are augmented again have no features to keep.
            and (config.augmentation == "none" or stage in ("layer4", "head"))
        }
        assert dict(training_passes(config, plan)) == expected


def test_the_recipe_in_numbers() -> None:
    config = RunConfig(schedule="progressive")
    assert training_passes(config, plan_round(config, 1)) == {"layer4": 6, "head": 10}
    assert training_passes(config, plan_round(config, 13)) == {"layer4": 4}
    assert training_passes(config, plan_round(config, 17)) == {}
    plain = RunConfig(schedule="progressive", augmentation="none")
    assert training_passes(plain, plan_round(plain, 1)) == {
        "layer2": 8, "layer3": 6, "layer4": 6, "head": 10,
    }  # fmt: skip
    assert training_passes(plain, plan_round(plain, 13)) == {
        "layer2": 8, "layer3": 6, "layer4": 4,
    }  # fmt: skip
    # Validation: rounds 1 to 13 begin with a model whose layers are the base's, and so on.
    assert evaluation_passes(config, 0, "head") == {
        "layer2": 8, "layer3": 6, "layer4": 4, "head": 13,
    }  # fmt: skip
    assert evaluation_passes(config, 30, "layer2") == {"layer2": 1}


@pytest.mark.parametrize("name", list(SETTINGS))
def test_evaluation_passes_are_those_of_the_models_to_come(name: str) -> None:
    config = RunConfig(**SETTINGS[name])
    last = total_rounds(config)
    for done in range(last + 1):
        thawed = stages_ever_thawed(config, done)
        boundary = evaluation_boundary(
            config.network, [stage for stage in STAGES if stage not in thawed]
        )
        models = [
            min(stages_ever_thawed(config, later), key=STAGES.index)
            for later in range(done, last + 1)
        ]
        assert boundary == models[0]
        expected = Counter(model for model in models if model != "stem")
        assert evaluation_passes(config, done, boundary) == dict(expected)


@pytest.mark.parametrize(
    ("untouched", "boundary"),
    [
        (STAGES, "head"),
        (STAGES[:-1], "head"),
        (STAGES[:4], "layer4"),
        (("layer1", "layer2"), "stem"),
        (("stem", "layer2", "head"), "layer1"),
        ((), "stem"),
    ],
)
def test_evaluation_begins_at_the_first_stage_that_is_not_the_bases(
    untouched: tuple[str, ...], boundary: str
) -> None:
    assert evaluation_boundary(backbone_of("micro"), untouched) == boundary
