"""Networks of images in red, green and blue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torchvision.transforms.v2 import Normalize

from shared.errors import ConfigError, WeightsError
from shared.model import registry
from shared.model.final import load_final_model
from shared.model.network import build_network
from shared.model.pretrained import load_base
from shared.model.published import of_torchvision
from shared.model.registry import BACKBONES, backbone_of
from shared.settings.config import RunConfig
from shared.storage.digest import file_sha256

MOST = 20_000
"""Weights of the network of arXiv:2501.15547 for CIFAR-10."""
SMALL = ("micro", "vit-tiny", "tiny")


def test_the_small_network_has_no_more_weights_than_the_paper_s_with_ten_classes() -> None:
    network = build_network("tiny", outputs=10, channels=3)
    assert sum(parameter.numel() for parameter in network.parameters()) <= MOST


@torch.no_grad()
def test_each_branch_sees_its_own_image() -> None:
    """An image in colour enters both; of two the second changes the second branch alone."""
    network = build_network("tiny", dropout=0.0, channels=3).eval()
    first, second = torch.rand(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    joined = network.backbone.stages[3]
    alone = network.prefix(first * 1024, joined)
    assert torch.equal(alone, network.prefix(torch.cat([first, first], 1) * 1024, joined))
    both = network.prefix(torch.cat([first, second], 1) * 1024, joined)
    half = both.shape[1] // 2
    assert torch.equal(both[:, :half], alone[:, :half])
    assert not torch.equal(both[:, half:], alone[:, half:])


@pytest.mark.parametrize("name", list(BACKBONES))
def test_each_network_has_one_for_colours(name: str) -> None:
    """The same units and head; only the first layer takes three values a pixel."""
    grey, colour = backbone_of(name), backbone_of(name, 3)
    assert (grey.channels, colour.channels) == (1, 3)
    assert colour.stages == grey.stages
    assert set(colour.published) <= {"imagenet"}
    if name not in SMALL:
        return
    network = build_network(name, channels=3).eval()
    images = torch.rand(2, 3, 32, 32) * 2048 - 1024
    with torch.no_grad():
        red = network(torch.cat([images[:, :1], torch.zeros(2, 2, 32, 32)], 1))
        assert network(images).shape == (2,)
        assert not torch.equal(red, network(images))


@pytest.mark.parametrize("weights", ["imagenet", "the file's path"])
def test_imagenet_s_weights_see_what_torchvision_s_transforms_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str
) -> None:
    """A file that is named by its path is known by its digest."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        colour = torchvision.models.resnet18().eval()
        nn.init.normal_(colour.bn1.running_mean)
    file = tmp_path / "resnet18.pth"
    torch.save(colour.state_dict(), file)
    own = of_torchvision(f"resnet18-{file_sha256(file)[:8]}.pth")
    known = replace(backbone_of("resnet18", 3), published={"imagenet": own})
    monkeypatch.setitem(registry._IN_COLOUR, "resnet18", known)
    chosen = weights if weights == "imagenet" else str(file)
    config = RunConfig(backbone="resnet18", weights=chosen, image_colour="rgb")
    network = build_network("resnet18", channels=3).eval()
    base = load_base(config, site_weights=str(file))
    network.load_state_dict(dict(base.state))
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    normal = Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])(images)
    with torch.no_grad():
        expected = colour.bn1(colour.conv1(normal))
        found = network.get_submodule("bn1")(network.get_submodule("conv1")(images * 2048 - 1024))
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(found[inside], expected[inside], rtol=1e-4, atol=1e-4)


def test_a_model_is_loaded_for_the_images_that_it_is_of(tmp_path: Path) -> None:
    network = build_network("tiny", dropout=0.0, channels=3).eval()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    images = torch.rand(2, 3, 32, 32) * 2048 - 1024
    with torch.no_grad():
        loaded = load_final_model(tmp_path / "model.safetensors", "tiny", channels=3)
        assert torch.equal(loaded(images), network(images))
    with pytest.raises(WeightsError, match="takes 3 colour channels"):
        load_final_model(tmp_path / "model.safetensors", "tiny")


@pytest.mark.parametrize(("backbone", "named"), [("resnet50", "imagenet, weights"), ("tiny", "")])
def test_weights_of_radiographs_are_refused_for_colours(backbone: str, named: str) -> None:
    with pytest.raises(ConfigError, match=f"set (weights={named}=)?.*random or the path") as error:
        RunConfig(backbone=backbone, image_colour="rgb", image_size=32)
    assert ("weights=imagenet" in str(error.value)) == bool(named)
