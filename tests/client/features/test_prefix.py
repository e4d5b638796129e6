from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from torchvision.models.resnet import BasicBlock, ResNet

from client.features.prefix import Prefix
from client.model.device import Precision
from shared.model.network import Network, build_network
from shared.model.registry import backbone_of

STAGES = backbone_of("micro").stages

BOUNDARIES = STAGES[1:]
FLOAT32 = Precision("cpu", torch.float32)


def noise(count: int, size: int) -> Tensor:
    return torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(0)) * 400


def network(name: str) -> Network:
    model = build_network(name, dropout=0.0, seed=3)
    model.eval()
    return model


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("name", "size"), [("micro", 32), ("resnet18", 64)])
def test_an_image_has_the_same_bits_in_every_batch(
    name: str, size: int, dtype: torch.dtype, threads: int
) -> None:
    prefix = Prefix(network(name), Precision("cpu", dtype), torch.float32)
    images = noise(11, size)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        whole = prefix.features(images, BOUNDARIES)
        for count in range(1, 12):
            for start in (0, 11 - count):
                part = prefix.features(images[start : start + count], BOUNDARIES)
                for boundary in BOUNDARIES:
                    expected = whole[boundary][start : start + count]
                    assert torch.equal(part[boundary], expected), (boundary, count)
        for boundary in BOUNDARIES:
            alone = prefix.features(images, [boundary])
            assert list(alone) == [boundary]
            assert torch.equal(alone[boundary], whole[boundary])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("name", "size"), [("micro", 32), ("resnet18", 64)])
def test_features_are_what_torchvisions_modules_make_of_each_image(name: str, size: int) -> None:
    ours, images = network(name), noise(5, size)
    oracle = ResNet(BasicBlock, [2, 2, 2, 2], num_classes=1)
    if name == "resnet18":  # torchvision's own network, with one channel
        oracle.conv1 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        oracle.load_state_dict(ours.state_dict())
        oracle.eval()
    else:
        oracle = ours
    found = Prefix(ours, FLOAT32, torch.float32).features(images, BOUNDARIES)
    for number in range(5):
        with torch.no_grad():
            x = oracle.conv1(images[number : number + 1])
            x = oracle.maxpool(oracle.relu(oracle.bn1(x)))
            maps = {"layer1": x}
            for layer, following in pairwise(BOUNDARIES):
                x = maps[following] = getattr(oracle, layer)(x)
        maps["head"] = maps["head"].mean((2, 3), keepdim=True)
        for boundary in BOUNDARIES:
            expected = maps[boundary][0]
            largest = float(expected.abs().max())
            torch.testing.assert_close(
                found[boundary][number], expected, rtol=1e-4, atol=1e-5 * largest
            )


def test_the_heads_input_is_the_average_that_the_head_would_take() -> None:
    model, images = network("micro"), noise(7, 64)
    features = Prefix(model, FLOAT32, torch.float32).features(images, ["head"])["head"]
    assert features.shape == (7, 64, 1, 1)
    with torch.no_grad():
        maps = model.prefix(images, "head")
        torch.testing.assert_close(features, adaptive_avg_pool2d(maps, 1))
        torch.testing.assert_close(model.rest(features, "head"), model(images))


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_beyond_float16_is_its_largest_number(
    boundary: str, make_model: Callable[..., Network]
) -> None:
    model = make_model().eval()
    images = noise(3, 32) * 1e5
    largest = torch.finfo(torch.float16).max
    full = Prefix(model, FLOAT32, torch.float32).features(images, [boundary])[boundary]
    assert full.abs().max() > largest
    half = Prefix(model, FLOAT32, torch.float16).features(images, [boundary])[boundary]
    assert half.dtype == torch.float16
    assert torch.isfinite(half).all()
    assert torch.equal(half, full.clamp(-largest, largest).half())


def test_nothing_is_tracked_or_changed(make_model: Callable[..., Network]) -> None:
    model = make_model().eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    features = Prefix(model, FLOAT32, torch.float16).features(noise(2, 32), ["layer3"])
    assert not features["layer3"].requires_grad
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
