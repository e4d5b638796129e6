"""Tests of shared.model.exchanged."""

from __future__ import annotations

from collections import Counter

import pytest
from torch import nn

from shared.model.exchanged import batch_norm_statistics, exchanged_keys
from shared.model.network import build_network
from shared.model.registry import BACKBONES, backbone_of
from shared.model.resnet import RESNET50

STAGES = backbone_of("micro").stages
stage_of = backbone_of("micro").stage_of
keys_of = backbone_of("micro").keys_of


def test_parameters_of_each_stage_of_resnet50() -> None:
    """The published sizes (docs: what travels, ResNet-50, 1 channel, 1 logit)."""
    counts: Counter[str] = Counter()
    for name, parameter in build_network("resnet50").named_parameters():
        counts[RESNET50.stage_of(name)] += parameter.numel()
    assert dict(counts) == {
        "stem": 3_264,
        "layer1": 215_808,
        "layer2": 1_219_584,
        "layer3": 7_098_368,
        "layer4": 14_964_736,
        "head": 2_049,
    }


@pytest.mark.parametrize("backbone", BACKBONES)
def test_stages_partition_the_state_in_order(backbone: str) -> None:
    state = build_network(backbone).state_dict()
    keys_of = backbone_of(backbone).keys_of
    parts = [keys_of(state, [stage]) for stage in backbone_of(backbone).stages]
    assert all(parts)
    assert [key for part in parts for key in part] == list(state)
    assert keys_of(state, {"head", "stem"}) == parts[0] + parts[-1]
    assert keys_of(state, []) == ()


@pytest.mark.parametrize(
    "key", ["", "layer4", "layer5.0.conv1.weight", "fcx.weight", "module.fc.weight"]
)
def test_key_of_no_stage(key: str) -> None:
    with pytest.raises(ValueError, match="not a state-dict key"):
        stage_of(key)


def test_unknown_stage_is_named() -> None:
    with pytest.raises(ValueError, match="layer5"):
        keys_of({}, ["layer4", "layer5"])


def test_statistics_are_found_by_module_type() -> None:
    """Also in `downsample.1`, whose name does not say BatchNorm; no module misleads by name."""
    model = build_network("micro")
    model.bnfake = nn.Linear(1, 1)
    statistics = batch_norm_statistics(model)
    assert "layer2.0.downsample.1.running_var" in statistics
    assert statistics == {
        key for key, _ in model.named_buffers() if key.rpartition(".")[2].startswith("running_")
    }


def test_exchanged_keys_with_averaged_statistics() -> None:
    model = build_network("micro")
    keys = exchanged_keys(model, ["layer4", "head"], "average")
    block = [
        f"{module}.{name}"
        for module, names in (
            ("conv1", ["weight"]),
            ("bn1", ["weight", "bias", "running_mean", "running_var"]),
            ("conv2", ["weight"]),
            ("bn2", ["weight", "bias", "running_mean", "running_var"]),
            ("downsample.0", ["weight"]),
            ("downsample.1", ["weight", "bias", "running_mean", "running_var"]),
        )
        for name in names
    ]
    assert keys == (*(f"layer4.0.{key}" for key in block), "fc.weight", "fc.bias")


@pytest.mark.parametrize("batch_norm", ["local", "frozen"])
def test_statistics_that_stay_at_the_site(batch_norm: str) -> None:
    model = build_network("micro")
    keys = exchanged_keys(model, STAGES, batch_norm)
    assert keys == tuple(name for name, _ in model.named_parameters())


def test_exchanged_keys_refuse_other_values() -> None:
    model = build_network("micro")
    with pytest.raises(ValueError, match="'fedbn'; it must be average, local or frozen"):
        exchanged_keys(model, ["head"], "fedbn")
    with pytest.raises(ValueError, match="layer9"):
        exchanged_keys(model, ["layer9"], "average")
