"""Tests of shared.model.network."""

from __future__ import annotations

import copy

import pytest
import torch
import torchvision
from torch import Tensor, nn

from shared.errors import ConfigError
from shared.model.network import Network, build_network
from shared.model.registry import BACKBONES, backbone_of

STAGES = backbone_of("micro").stages


def _images(count: int = 3, side: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(count, 1, side, side, generator=generator) * 2048 - 1024


def _settled(model: Network) -> Network:
    """BatchNorm statistics of real activations, so that logits are not all alike."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # cumulative average
    model.train()
    with torch.no_grad():
        model(_images())
    model.eval()
    return model


@pytest.mark.parametrize("backbone", ["resnet50", "resnet18"])
def test_state_loads_into_torchvision(backbone: str) -> None:
    model = _settled(build_network(backbone, seed=3))
    theirs = getattr(torchvision.models, backbone)(num_classes=1)
    theirs.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    assert list(theirs.state_dict()) == list(model.state_dict())
    theirs.load_state_dict(model.state_dict(), strict=True)
    theirs.eval()
    # Where a backward pass may follow, a CPU runs in torchvision's own memory format.
    assert torch.equal(model(_images()), theirs(_images()).squeeze(1))
    with torch.no_grad():
        logits = model(_images())
        torch.testing.assert_close(logits, theirs(_images()).squeeze(1), rtol=1e-3, atol=1e-3)
    assert logits.shape == (3,)
    assert logits.std() > 0


@pytest.mark.parametrize("stop", STAGES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_prefix_and_rest_make_the_whole(stop: str, layout: torch.memory_format) -> None:
    model = _settled(build_network("micro")).to(memory_format=layout)
    images = _images().to(memory_format=layout)
    with torch.no_grad():
        whole = model(images)
        features = model.prefix(images, stop)
        kept = features.clone()
        assert torch.equal(model.rest(features, stop), whole)
    assert torch.equal(features, kept), "cached features must survive their use"
    expected_channels = dict(zip(STAGES, (1, 8, 8, 16, 32, 64), strict=True))
    assert features.shape[1] == expected_channels[stop]


def test_prefix_and_rest_of_resnet50() -> None:
    model = _settled(build_network("resnet50"))
    with torch.no_grad():
        features = model.prefix(_images(), "layer4")
        assert features.shape == (3, 1024, 4, 4)
        assert torch.equal(model.rest(features, "layer4"), model(_images()))


def test_unknown_stage() -> None:
    model = build_network("micro")
    with pytest.raises(ValueError, match="layer5"):
        model.prefix(_images(), "layer5")
    with pytest.raises(ValueError, match="fc"):
        model.rest(_images(), "fc")


def test_unknown_backbone() -> None:
    with pytest.raises(ConfigError, match="'resnet34'; it must be one of resnet50, resnet18, m"):
        build_network("resnet34")


def test_micro_is_small_and_laid_out_like_resnet18() -> None:
    micro = build_network("micro")
    assert sum(p.numel() for p in micro.parameters()) < 150_000
    theirs = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1])
    assert list(micro.state_dict()) == list(theirs.state_dict())
    widths = [micro.get_parameter(f"layer{n}.0.bn2.weight").numel() for n in (1, 2, 3, 4)]
    assert widths == [8, 16, 32, 64]


def test_building_reads_and_advances_no_global_generator() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_network("micro", seed=7).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = build_network("micro", seed=7).state_dict()
    other = build_network("micro", seed=8).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_initial_weights_have_the_spread_that_their_schemes_prescribe() -> None:
    model = build_network("resnet18", seed=0)
    convolution = model.get_submodule("layer4.1.conv2")
    assert isinstance(convolution, nn.Conv2d)
    kaiming = (2 / (512 * 9)) ** 0.5  # He et al., arXiv:1502.01852, fan out
    assert convolution.weight.std().item() == pytest.approx(kaiming, rel=0.01)
    bound = (6 / (512 + 1)) ** 0.5  # Glorot and Bengio, 2010
    assert 0.9 * bound < model.head_layer.weight.abs().max().item() <= bound
    assert model.head_layer.bias.tolist() == pytest.approx([0.01])
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight))
            assert not module.bias.any()
            assert not module.running_mean.any()  # type: ignore[union-attr]  # tracked here
            assert torch.equal(module.running_var, torch.ones_like(module.weight))  # type: ignore[arg-type]


def test_all_tensors_have_storage_and_type() -> None:
    for backbone in BACKBONES:
        for key, value in build_network(backbone).state_dict().items():
            assert value.device.type == "cpu"
            counter = key.endswith("num_batches_tracked")
            assert value.dtype == (torch.int64 if counter else torch.float32)


def test_dropout_acts_in_training_only() -> None:
    model = build_network("micro", dropout=0.5)
    features = model.eval().prefix(_images(), "head")
    with torch.no_grad():
        still = model.rest(features, "head")
        assert torch.equal(model.rest(features, "head"), still)
        model.train()
        torch.manual_seed(0)
        draws = torch.stack([model.rest(features, "head") for _ in range(4000)])
    assert draws.std(0).min() > 0
    # Inverted dropout keeps the expected logit.
    standard_error = draws.std(0) / 4000**0.5
    assert bool(((draws.mean(0) - still).abs() < 5 * standard_error).all())


def test_copies_are_independent() -> None:
    model = build_network("micro")
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.head_layer.weight.add_(1)
    assert not torch.equal(model.head_layer.weight, twin.head_layer.weight)
