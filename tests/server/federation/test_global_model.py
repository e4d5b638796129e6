"""Base plus delta, at the coordinator."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from server.federation.global_model import (
    Reference,
    build_reference,
    expected_frozen_digest,
    full_state,
    initial_delta,
    select,
)
from shared.model.exchanged import exchanged_keys
from shared.model.freezing import frozen_digest, set_trainable
from shared.model.network import build_network
from shared.model.pretrained import initial_head, load_base
from shared.model.registry import backbone_of
from shared.settings.config import RunConfig

STAGES = backbone_of("micro").stages

LATE = ("layer4", "head")


@pytest.mark.parametrize("batch_norm", ["average", "local", "frozen"])
def test_the_manifest_is_what_is_exchanged(config: RunConfig, batch_norm: str) -> None:
    chosen = dataclasses.replace(config, batch_norm=batch_norm)
    reference = build_reference(chosen, load_base(chosen))
    specs = reference.specs(LATE)
    assert tuple(s.name for s in specs) == exchanged_keys(reference.network, LATE, batch_norm)
    state = reference.network.state_dict()
    assert all(spec.shape == tuple(state[spec.name].shape) for spec in specs)
    assert any("running" in spec.name for spec in specs) is (batch_norm == "average")


def test_the_first_head_is_the_one_drawn_from_the_seed(
    config: RunConfig, reference: Reference
) -> None:
    delta = initial_delta(reference, config)
    drawn = initial_head("micro", config.seed)
    assert set(delta) == {"fc.weight", "fc.bias"}
    state = full_state(reference, delta)
    for name, value in drawn.items():
        assert torch.equal(state[name], value)
        assert delta[name].dtype == np.float32


def test_a_base_with_a_head_keeps_it(config: RunConfig, reference: Reference) -> None:
    base = dataclasses.replace(reference.base, has_head=True)
    delta = initial_delta(dataclasses.replace(reference, base=base), config)
    assert all(not value.any() for value in delta.values())
    assert {k: v.shape for k, v in delta.items()} == {"fc.weight": (1, 64), "fc.bias": (1,)}


def test_what_has_not_been_trained_is_sent_as_zero(reference: Reference) -> None:
    bias = np.ones(1, np.float32)
    chosen = select(
        reference, {"fc.bias": bias, "layer1.0.bn1.weight": np.ones(8, np.float32)}, LATE
    )
    assert list(chosen) == [spec.name for spec in reference.specs(LATE)]
    assert chosen.pop("fc.bias") is bias
    assert all(value.dtype == np.float32 and not value.any() for value in chosen.values())


def test_base_plus_delta_is_a_whole_model_and_leaves_the_base(reference: Reference) -> None:
    before = {key: value.clone() for key, value in reference.base.state.items()}
    generator = np.random.default_rng(0)
    delta = {
        spec.name: generator.normal(size=spec.shape).astype(np.float32)
        for spec in reference.specs(LATE)
    }
    state = full_state(reference, delta)
    build_network("micro").load_state_dict(state)
    for key, value in before.items():
        assert torch.equal(reference.base.state[key], value)
        assert state[key].dtype == value.dtype
        expected = value.numpy() + delta[key] if key in delta else value.numpy()
        assert np.array_equal(state[key].numpy(), expected)


@pytest.mark.parametrize("count", range(1, 7))
def test_frozen_stages_hash_as_at_a_site(reference: Reference, count: int) -> None:
    trainable = STAGES[-count:]
    site = build_network("micro", seed=99)
    site.load_state_dict(dict(reference.base.state))
    set_trainable(site, trainable, "average")
    with torch.no_grad():
        for parameter in site.parameters():
            if parameter.requires_grad:
                parameter.add_(1)
    expected = expected_frozen_digest(reference, trainable)
    assert frozen_digest(site, trainable) == expected
    if count < len(STAGES):
        with torch.no_grad():
            site.get_buffer("bn1.running_mean")[0] += 1e-6
        assert frozen_digest(site, trainable) != expected
