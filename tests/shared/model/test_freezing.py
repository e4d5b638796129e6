"""Tests of shared.model.freezing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from shared.model.exchanged import batch_norm_statistics
from shared.model.freezing import frozen_digest, set_trainable
from shared.model.network import Network, build_network
from shared.model.registry import backbone_of

STAGES = backbone_of("micro").stages
stage_of = backbone_of("micro").stage_of

SUFFIXES = [STAGES[first:] for first in range(len(STAGES))]


def _snapshot(model: Network) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def _train(model: Network, steps: int = 3) -> None:
    """Real steps over all parameters, so that only freezing can protect the frozen ones."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    for _ in range(steps):
        images = torch.rand(4, 1, 64, 64, generator=generator) * 2048 - 1024
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(model(images), torch.tensor([0.0, 1, 0, 1]))
        loss.backward()  # type: ignore[no-untyped-call]  # torch ships it untyped
        optimizer.step()


def _changed(model: Network, before: dict[str, Tensor]) -> set[str]:
    after = model.state_dict()
    return {key for key in after if not torch.equal(after[key], before[key])}


@pytest.mark.parametrize("stages", [*SUFFIXES, ("layer1", "layer3")])
@pytest.mark.parametrize("batch_norm", ["average", "frozen"])
def test_training_moves_thawed_stages_and_nothing_else(
    stages: Sequence[str], batch_norm: str
) -> None:
    model = build_network("micro", dropout=0.0)
    # Momentum and gradients of an earlier phase must not move what is frozen now.
    set_trainable(model, STAGES, "average")
    _train(model, steps=1)
    set_trainable(model, stages, batch_norm)
    before, digest = _snapshot(model), frozen_digest(model, stages)
    model.train()
    _train(model)
    parameters = {name for name, _ in model.named_parameters()}
    expected = {key for key in before if stage_of(key) in stages}
    if batch_norm == "frozen":
        expected &= parameters
    assert _changed(model, before) == expected
    assert frozen_digest(model, stages) == digest


def test_adam_state_of_an_earlier_phase_does_not_move_frozen_weights() -> None:
    model = build_network("micro")
    set_trainable(model, STAGES, "average")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    images = torch.ones(2, 1, 64, 64)
    model(images).sum().backward()
    optimizer.step()
    set_trainable(model, ["head"], "average")
    before = _snapshot(model)
    optimizer.step()  # with the gradients of the earlier phase, which freezing must discard
    assert _changed(model, before) == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize("stages", SUFFIXES)
def test_modes_survive_train_and_eval(stages: Sequence[str]) -> None:
    model = build_network("micro")
    set_trainable(model, stages, "average")
    model.eval()
    assert not any(module.training for module in model.modules())
    model.train()
    for name, module in model.named_modules():
        if name.startswith(("conv1", "bn1", "fc")) or name.count(".") >= 1:
            stage = stage_of(f"{name}.weight")
            assert module.training == (stage in stages), name
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == (stage_of(name) in stages)
        assert stage_of(name) in stages or parameter.grad is None


def test_thawing_again_undoes_freezing() -> None:
    model = build_network("micro")
    set_trainable(model, ["head"], "frozen")
    set_trainable(model, STAGES, "local")
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(module.training for module in model.modules())


def test_frozen_batch_norm_of_thawed_stages() -> None:
    model = build_network("micro")
    set_trainable(model, STAGES, "frozen")
    for module in model.modules():
        assert module.training != isinstance(module, nn.BatchNorm2d)
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.requires_grad
            assert module.bias.requires_grad


def test_dropout_of_a_frozen_head_is_off() -> None:
    model = build_network("micro", dropout=0.5)
    set_trainable(model, ["layer4"], "frozen")
    images = torch.ones(2, 1, 64, 64)
    assert torch.equal(model(images), model(images))


def test_wrong_requests_are_refused() -> None:
    model = build_network("micro")
    with pytest.raises(ValueError, match="At least one"):
        set_trainable(model, [], "average")
    with pytest.raises(ValueError, match="layer7"):
        set_trainable(model, ["head", "layer7"], "average")
    with pytest.raises(ValueError, match="batch_norm is 'none'"):
        set_trainable(model, ["head"], "none")
    with pytest.raises(ValueError, match="layer7"):
        frozen_digest(model, ["layer7"])


def test_frozen_digest_covers_every_frozen_entry_and_no_other() -> None:
    model = build_network("micro")
    stages = ("layer3", "head")
    original = frozen_digest(model, stages)
    for key, value in model.state_dict().items():
        kept = value.clone()
        value.add_(1)
        assert (frozen_digest(model, stages) == original) == (stage_of(key) in stages), key
        value.copy_(kept)
    assert frozen_digest(model, stages) == original


def test_frozen_digest_needs_batch_norm_statistics() -> None:
    """A model in train mode drifts in its statistics alone; the digest must notice."""
    model = build_network("micro")
    original = frozen_digest(model, ["head"])
    before = _snapshot(model)
    model.train()
    with torch.no_grad():
        model(torch.ones(2, 1, 64, 64))
    counters = {key for key in before if key.endswith("num_batches_tracked")}
    assert _changed(model, before) == batch_norm_statistics(model) | counters
    assert frozen_digest(model, ["head"]) != original
