from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from shared.model.freezing import set_trainable
from shared.model.network import Network, build_network
from shared.model.registry import backbone_of

STAGES = backbone_of("micro").stages


def prepared(
    recompute: bool, batch_norm: str, stages: tuple[str, ...], name: str = "micro"
) -> Network:
    model = build_network(name, dropout=0.0, seed=2)
    set_trainable(model, stages, batch_norm)
    model.recompute = recompute
    return model


def steps(model: Network, dtype: torch.dtype, count: int = 3) -> None:
    """As a site trains: what is frozen runs without autograd."""
    generator = torch.Generator().manual_seed(0)
    learnt = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=1e-2)
    start = next(s for s in STAGES if any(p.requires_grad for p in stage_parameters(model, s)))
    for _ in range(count):
        images = torch.randn(6, 1, 64, 64, generator=generator) * 300
        labels = torch.tensor([0.0, 1.0] * 3)
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            with torch.no_grad():
                features = model.prefix(images, start)
            logits = model.rest(features, start)
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(logits.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def stage_parameters(model: Network, stage: str) -> list[torch.nn.Parameter]:
    names = {"stem": ["conv1", "bn1"], "head": ["fc"]}.get(stage, [stage])
    return [p for name in names for p in model.get_submodule(name).parameters()]


@pytest.mark.parametrize("name", ["micro", "resnet18"])
@pytest.mark.parametrize("stages", [STAGES, ("layer3", "layer4", "head"), ("head",)])
@pytest.mark.parametrize("batch_norm", ["average", "frozen"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_recomputing_learns_the_same_bits(
    dtype: torch.dtype, batch_norm: str, stages: tuple[str, ...], name: str
) -> None:
    """Weights, running statistics and the number of batches that BatchNorm counted."""
    if name == "resnet18" and stages != STAGES[3:]:
        pytest.skip("the smaller network shows it")
    plain = prepared(False, batch_norm, stages, name)
    saving = prepared(True, batch_norm, stages, name)
    start = copy.deepcopy(plain.state_dict())
    steps(plain, dtype)
    steps(saving, dtype)
    for key, value in plain.state_dict().items():
        assert value.numpy().tobytes() == saving.state_dict()[key].numpy().tobytes(), key
    if "layer4" in stages:
        assert not torch.equal(
            start["layer4.0.conv1.weight"], plain.get_parameter("layer4.0.conv1.weight")
        )
        counted = plain.get_buffer("layer4.0.bn1.num_batches_tracked")
        assert counted == (3 if batch_norm == "average" else 0)
    momenta = {m.momentum for m in saving.modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert momenta == {0.1}


def bytes_kept(model: Network) -> int:
    """Of distinct storages kept for the backward pass, the weights' own aside."""
    own = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    images = torch.randn(4, 1, 64, 64)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(images).sum()
    found = sum(t.untyped_storage().nbytes() for place, t in kept.items() if place not in own)
    loss.backward()
    return found


@pytest.mark.parametrize("name", ["micro", "resnet18"])
def test_fewer_bytes_are_kept_for_the_backward_pass(name: str) -> None:
    """Measured on the whole network, whose stem is never computed again."""
    plain = bytes_kept(prepared(False, "average", STAGES, name))
    saving = bytes_kept(prepared(True, "average", STAGES, name))
    assert saving < 0.75 * plain


def test_without_a_gradient_nothing_is_recomputed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = prepared(True, "average", STAGES).eval()
    images = torch.randn(3, 1, 64, 64)
    monkeypatch.setattr("shared.model.network.recomputed", None)
    with torch.no_grad():
        expected = prepared(False, "average", STAGES).eval()(images)
        assert torch.equal(model(images), expected)
