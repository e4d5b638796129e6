"""The vision transformers against torchvision's own network, at other sizes and in colour too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.vision_transformer import interpolate_embeddings
from torchvision.transforms.v2 import Normalize

from client.features.boundary import training_boundary
from client.predict.explain import grad_cam
from shared.errors import ConfigError, WeightsError
from shared.model.network import Network, build_network
from shared.model.pretrained import load_base
from shared.model.vit import VIT_B_16, VIT_TINY
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round


def theirs(side: int, channels: int = 1, classes: int = 1) -> nn.Module:
    """torchvision's network with the layers and widths of vit-tiny."""
    network: nn.Module = torchvision.models.VisionTransformer(
        image_size=side, patch_size=16, num_layers=12, num_heads=3, hidden_dim=192, mlp_dim=768,
        num_classes=classes,
    )  # fmt: skip
    network.set_submodule("conv_proj", nn.Conv2d(channels, 192, kernel_size=16, stride=16))
    return network.eval()


def images(side: int, number: int = 2) -> Tensor:
    return torch.rand(number, 1, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def tiny() -> Network:
    network = build_network("vit-tiny", dropout=0.0, seed=1)
    nn.init.normal_(network.get_parameter("class_token"))
    network.eval()
    return network


@pytest.mark.parametrize("side", [32, 64, 224, 320])
def test_it_computes_what_torchvisions_network_does(tiny: Network, side: int) -> None:
    """With the position embeddings that torchvision itself interpolates for another size."""
    reference = theirs(side)
    state: Any = interpolate_embeddings(side, 16, dict(tiny.state_dict()))
    assert list(reference.state_dict()) == list(tiny.state_dict())
    reference.load_state_dict(state)
    with torch.no_grad():
        wanted = reference(images(side)).flatten()
        torch.testing.assert_close(tiny(images(side)), wanted, rtol=1e-4, atol=1e-5)


def test_the_published_network_has_the_same_tensors() -> None:
    reference = torchvision.models.vit_b_16(num_classes=1)
    reference.conv_proj = nn.Conv2d(1, 768, kernel_size=16, stride=16)
    shapes = {key: value.shape for key, value in reference.state_dict().items()}
    assert {k: v.shape for k, v in build_network("vit-b-16").state_dict().items()} == shapes


def test_random_weights_are_of_the_seed_alone() -> None:
    one, same, other = (build_network("vit-tiny", seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["encoder.pos_embedding"], other["encoder.pos_embedding"])


def test_it_thaws_by_groups_of_blocks() -> None:
    config = RunConfig(backbone="vit-tiny", image_size=64, schedule="progressive")
    assert [plan_round(config, number).trainable for number in (10, 13, 17, 23)] == [
        ("head",),
        ("blocks4", "head"),
        ("blocks3", "blocks4", "head"),
        ("blocks2", "blocks3", "blocks4", "head"),
    ]
    assert VIT_TINY.units_of(["blocks4"]) == {
        "blocks4.0", "blocks4.1", "blocks4.2", "blocks4.norm",
    }  # fmt: skip
    assert VIT_B_16.unit_of("class_token").name == "stem"


def test_rounds_that_mix_begin_at_the_images() -> None:
    """A patch has seen the whole image, so half of the patches is not half of an image."""
    config = RunConfig(backbone="vit-tiny", image_size=64)
    probe, tuned = plan_round(config, 10), plan_round(config, 13)
    assert (training_boundary(config, probe), training_boundary(config, tuned)) == ("head", "stem")


def test_the_image_must_be_made_of_patches() -> None:
    with pytest.raises(ConfigError, match="image-size is 100; vit-b-16 cuts images into patches"):
        RunConfig(backbone="vit-b-16", image_size=100)


def test_colour_weights_are_folded_into_the_grey_network(tmp_path: Path) -> None:
    """torchvision's ImageNet file, stood in for by one of the same keys, with its preprocessing."""
    colour = theirs(224, channels=3, classes=1000)
    torch.save(colour.state_dict(), tmp_path / "vit.pth")
    config = RunConfig(backbone="vit-tiny", weights="imagenet", image_size=224)
    base = load_base(config, site_weights=str(tmp_path / "vit.pth"))
    ours = build_network("vit-tiny")
    ours.load_state_dict(dict(base.state))
    grey = (images(224) + 1) / 2
    normalise = Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        wanted = colour.get_submodule("conv_proj")(normalise(grey.expand(-1, 3, -1, -1)))
        found = ours.get_submodule("conv_proj")((2 * grey - 1) * 1024)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_weights_for_images_of_another_size_are_refused(tmp_path: Path) -> None:
    torch.save(theirs(384).state_dict(), tmp_path / "vit.pth")
    config = RunConfig(backbone="vit-tiny", weights=str(tmp_path / "vit.pth"), image_size=224)
    with pytest.raises(WeightsError, match=r"encoder.pos_embedding has shape \(1, 577, 192\)"):
        load_base(config)


def test_a_random_base_stays_calm() -> None:
    base = load_base(RunConfig(backbone="vit-tiny", weights="random", image_size=64))
    network = build_network("vit-tiny", dropout=0.0)
    network.load_state_dict(dict(base.state))
    with torch.no_grad():
        patches = network.prefix(images(64) * 1024, "blocks1")[..., 1:]
    assert 0.1 < patches.std() < 10


def test_recomputing_learns_the_same(tiny: Network) -> None:
    gradients = []
    for again in (False, True):
        tiny.recompute = again
        tiny.zero_grad(set_to_none=True)
        tiny(images(32)).sum().backward()
        gradients.append({name: p.grad for name, p in tiny.named_parameters()})
    tiny.recompute = False
    tiny.zero_grad(set_to_none=True)
    first, second = gradients
    for name, gradient in first.items():
        assert gradient is not None
        torch.testing.assert_close(second[name], gradient)


def test_an_image_is_explained_by_its_patches(tiny: Network) -> None:
    """Equations 1 and 2 of Grad-CAM, with derivatives by finite differences, in float64."""
    exact = build_network("vit-tiny", dropout=0.0)
    exact.load_state_dict(tiny.state_dict())
    exact.double().eval().requires_grad_(False)
    tokens = exact.prefix(images(32, 1).double(), "blocks4.2")
    step, places = 1e-4, tokens.shape[-1] - 1
    weights = torch.zeros(192, dtype=torch.float64)
    with torch.no_grad():
        before = exact.rest(tokens, "blocks4.2")
        # Moving a channel at all patches at once gives the sum of the derivatives.
        for channel in range(192):
            moved = tokens.clone()
            moved[:, channel, :, 1:] += step
            weights[channel] = (exact.rest(moved, "blocks4.2") - before).item() / step / places
    wanted = (weights[:, None] * tokens[0, :, 0, 1:]).sum(0).relu().reshape(2, 2)
    found = grad_cam(exact, tokens)[0]
    assert found.max() == 1
    torch.testing.assert_close(found, wanted / wanted.max(), rtol=1e-3, atol=1e-3)
