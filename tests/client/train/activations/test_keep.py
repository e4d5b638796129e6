"""What the layers keep, counted in autograd's hooks, and the gradients that follow from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from client.train.activations import keep
from client.train.activations.keep import keeping
from client.train.activations.quantised import Quantised
from shared.model.freezing import set_trainable
from shared.model.network import Network, build_network

ACTIVATIONS = ("exact", "int8", "int4", "recompute")


class Counter:
    """Everything that was packed, held so that no address is used twice."""

    def __init__(self) -> None:
        self.held: list[Tensor | Quantised] = []

    def hooks(self, pack: Callable[[Tensor], Any], unpack: Callable[[Any], Tensor]) -> Any:
        """Autograd's, that note what they pack."""

        def note(tensor: Tensor) -> Any:
            self.held.append(pack(tensor))
            return self.held[-1]

        return saved_tensors_hooks(note, unpack)

    def bytes_but(self, weights: nn.Module) -> int:
        """Of what lies at distinct places, the weights excepted."""
        own = {t.untyped_storage().data_ptr() for t in [*weights.parameters(), *weights.buffers()]}
        places = {
            part.data_ptr(): part.nbytes
            for one in self.held
            for part in ((one,) if isinstance(one, Tensor) else (one.codes, one.low, one.step))
        }
        return sum(size for place, size in places.items() if place not in own)


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Counts what the hooks of `keeping` pack."""
    counter = Counter()
    monkeypatch.setattr(keep, "saved_tensors_hooks", counter.hooks)
    return counter


def prepared(name: str, parts: tuple[str, ...], batch_norm: str = "average") -> Network:
    model = build_network(name, dropout=0.0, seed=2)
    set_trainable(model, parts, batch_norm)
    return model


def gradients(model: Network, activations: str, side: int = 64) -> dict[str, Tensor]:
    """Of one batch; the memory that is kept is counted by whoever patched the hooks."""
    model.recompute = activations == "recompute"
    images = torch.randn(6, 1, side, side, generator=torch.Generator().manual_seed(1)) * 300
    with keeping(activations, model):
        logits = model(images)
    loss = F.binary_cross_entropy_with_logits(logits, torch.tensor([0.0, 1.0] * 3))
    loss.backward()  # type: ignore[no-untyped-call]
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return {name: gradient.clone() for name, gradient in found.items()}


def error(found: dict[str, Tensor], exact: dict[str, Tensor]) -> float:
    """Of all gradients together, relative to their size."""
    assert found.keys() == exact.keys()
    missed = sum(float(((found[n] - exact[n]) ** 2).sum()) for n in exact)
    return float((missed / sum(float((g**2).sum()) for g in exact.values())) ** 0.5)


@pytest.mark.parametrize(
    ("name", "batch_norm"), [("micro", "average"), ("micro", "frozen"), ("vit-tiny", "average")]
)
def test_gradients_are_those_of_exact_but_for_the_rounding(name: str, batch_norm: str) -> None:
    """Same bits with recompute; within 2 % with int8 and 20 % with int4, and never the same."""
    stages = build_network(name).backbone.stages
    found = {a: gradients(prepared(name, stages, batch_norm), a) for a in ACTIVATIONS}
    exact = found["exact"]
    for key, value in found["recompute"].items():
        assert torch.equal(value, exact[key]), key
    assert 0 < error(found["int8"], exact) < 0.02
    assert error(found["int8"], exact) < error(found["int4"], exact) < 0.2
    again = gradients(prepared(name, stages, batch_norm), "int4")
    assert all(torch.equal(again[key], found["int4"][key]) for key in again)


MIDDLE = ("stem", "layer1", "layer2.0", "layer4", "head")
"""What trains around frozen units of a ResNet-18."""


@pytest.mark.parametrize("batch_norm", ["average", "frozen"])
def test_frozen_layers_between_trained_ones_change_no_bit(batch_norm: str) -> None:
    """The oracle is PyTorch's own backward pass, which keeps their inputs."""
    plain = prepared("resnet18", MIDDLE, batch_norm)
    images = torch.randn(6, 1, 64, 64, generator=torch.Generator().manual_seed(1)) * 300
    logits = plain(images)
    F.binary_cross_entropy_with_logits(logits, torch.tensor([0.0, 1.0] * 3)).backward()  # type: ignore[no-untyped-call]
    expected = {n: p.grad for n, p in plain.named_parameters() if p.grad is not None}
    found = gradients(prepared("resnet18", MIDDLE, batch_norm), "exact")
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


def test_bytes_are_a_quarter_and_a_seventh(counter: Counter) -> None:
    """Of the whole network, max pooling and all, on small maps, whose ranges weigh more."""
    model = prepared("resnet18", build_network("resnet18").backbone.stages)
    held: dict[str, int] = {}
    for activations in ("int8", "int4"):
        counter.held.clear()
        gradients(model, activations)
        held[activations] = counter.bytes_but(model)
    counter.held.clear()
    with counter.hooks(lambda tensor: tensor, lambda tensor: tensor):
        gradients(model, "exact")
    exact = counter.bytes_but(model)
    assert exact / held["int8"] > 3.4
    assert exact / held["int4"] > 5.5


def test_a_frozen_layer_keeps_nothing_of_its_input(counter: Counter) -> None:
    """Of convolution, norm in eval mode and ReLU only the bits of the ReLU are kept."""
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
    layers.requires_grad_(False).eval()
    x = torch.randn(4, 3, 34, 34, requires_grad=True)
    with keeping("int8", layers):
        y = layers(x)
    assert counter.bytes_but(layers) == y.numel() / 8
    (found,) = torch.autograd.grad(y.square().sum(), x)
    (expected,) = torch.autograd.grad(layers(x).square().sum(), x)
    assert torch.equal(found, expected)


def test_an_input_of_two_layers_is_kept_once(counter: Counter) -> None:
    one, other = nn.Conv2d(16, 4, 1, bias=False), nn.Conv2d(16, 8, 1, bias=False)
    x = torch.randn(4, 16, 16, 16)
    with keeping("int8", nn.Sequential(one, other)):
        y = one(x).sum() + other(x).sum()
    packed = {id(kept) for kept in counter.held if isinstance(kept, Quantised)}
    assert len(packed) == 1
    y.backward()
    assert one.weight.grad is not None


def test_another_tensor_at_the_same_address_is_not_taken_for_it() -> None:
    """Inputs that are gone, overwritten in place, or seen from another offset are others."""
    layer = nn.Conv2d(16, 4, 1, bias=False)
    sums, expected = [], torch.zeros_like(layer.weight)
    with keeping("int8", layer):
        for number in range(12):
            x = torch.full((4, 16, 16, 16), float(number))
            sums.append(layer(x).sum())
            expected += 4 * 16 * 16 * number
            del x
        x = torch.ones(8, 16, 16, 16)
        x[4:] = 3.0
        sums += [layer(x[:4]).sum(), layer(x[4:]).sum(), layer(x.mul_(2)[:4]).sum()]
        expected += 4 * 16 * 16 * (1 + 3 + 2)
    torch.stack(sums).sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(layer.weight.grad, expected)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
def test_relus_gradient_is_exact(inplace: bool, format: torch.memory_format) -> None:
    x = torch.randn(2, 3, 15, 17).contiguous(memory_format=format)
    x[0, 0, 0, :4] = torch.tensor([0.0, -0.0, 1e-38, -1e-38])
    weights = torch.randn_like(x)
    found = []
    for activations in ("int4", "recompute"):
        leaf = x.clone().requires_grad_()
        with keeping(activations, nn.Identity()):
            y = F.relu(leaf * 1, inplace=inplace)
        (y * weights).sum().backward()  # type: ignore[no-untyped-call]
        found.append((y.detach(), leaf.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] is not None
    assert found[1][1] is not None
    assert torch.equal(found[0][1], found[1][1])


def test_copies_of_weights_in_bfloat16_are_not_kept(counter: Counter) -> None:
    layer = nn.Conv2d(64, 64, 3, bias=False)
    x = torch.randn(4, 64, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16), keeping("int4", layer):
        y = layer(x)
    packed = [kept for kept in counter.held if isinstance(kept, Quantised)]
    assert [tuple(kept.shape) for kept in packed] == [(4, 64, 16, 16)]
    assert counter.bytes_but(layer) < x.numel()
    y.float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32


def test_the_lean_convolution_is_pytorchs_bit_for_bit() -> None:
    """Of an input that is too small to be quantised, in both dtypes, with bias and groups."""
    layer = nn.Conv2d(8, 6, 3, stride=2, padding=1, groups=2)
    for dtype in (torch.float32, torch.bfloat16):
        found = []
        for activations in ("int8", "recompute"):
            x = torch.randn(2, 8, 9, 9, generator=torch.Generator().manual_seed(1))
            x.requires_grad_()
            with (
                torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32),
                keeping(activations, layer),
            ):
                y = layer(x)
            found.append(torch.autograd.grad(y.float().square().sum(), [x, *layer.parameters()]))
        assert all(map(torch.equal, *found))


def test_the_logarithms_of_attention_are_kept_as_they_are(counter: Counter) -> None:
    model = prepared("vit-tiny", build_network("vit-tiny").backbone.stages)
    gradients(model, "int4", side=256)
    packed = [kept for kept in counter.held if isinstance(kept, Quantised)]
    assert {kept.bits for kept in packed} == {4, 8}
    tokens = 1 + (256 // 16) ** 2
    assert all(kept.shape[-1] != tokens for kept in packed if len(kept.shape) == 3)
    assert any(tuple(k.shape) == (6, 3, tokens) for k in counter.held if isinstance(k, Tensor))
