"""Tests of shared.model.imagenet, and of loading ImageNet weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.transforms.v2 import Normalize

from shared.errors import WeightsError
from shared.model import sources
from shared.model.imagenet import fold_first_convolution
from shared.model.network import build_network
from shared.model.pretrained import load_base
from shared.model.published import Published
from shared.model.resnet import RESNET18
from shared.settings.config import RunConfig


@pytest.fixture(scope="session")
def colour_resnet18(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in for torchvision's ImageNet file: 3 channels, 1000 classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = torchvision.models.resnet18()
        nn.init.normal_(model.bn1.running_mean)
        nn.init.uniform_(model.bn1.running_var, 0.5, 2.0)
        nn.init.normal_(model.bn1.weight)
        nn.init.normal_(model.bn1.bias)
    path = tmp_path_factory.mktemp("imagenet") / "resnet18.pth"
    torch.save(model.state_dict(), path)
    return path


def _stem(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model.get_submodule("bn1")(model.get_submodule("conv1")(images))  # type: ignore[no-any-return]


def test_folding_keeps_the_function_inside_and_not_along_the_border(
    colour_resnet18: Path,
) -> None:
    """Against torchvision's own preprocessing and network."""
    base = load_base(
        RunConfig(backbone="resnet18", weights="imagenet"), site_weights=str(colour_resnet18)
    )
    folded = build_network("resnet18")
    folded.load_state_dict(base.state, strict=True)
    colour = torchvision.models.resnet18()
    colour.load_state_dict(torch.load(colour_resnet18, weights_only=True))
    grey = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    normalise = Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    expected = _stem(colour.eval(), normalise(grey.expand(-1, 3, -1, -1)))
    actual = _stem(folded.eval(), (2 * grey - 1) * 1024)
    # Kernel 7, padding 3, stride 2: the outer two outputs on the upper left reach into the border.
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(actual[inside], expected[inside], rtol=1e-4, atol=1e-4)
    assert (actual[..., 0, :] - expected[..., 0, :]).abs().max() > 1e-3
    # Padding counts as mid-grey: pad by hand, and the border agrees as well.
    padded = nn.functional.pad(grey, [3] * 4, value=0.5)
    colour.conv1.padding = (0, 0)
    expected = _stem(colour, normalise(padded.expand(-1, 3, -1, -1)))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_folding_leaves_the_rest_alone(colour_resnet18: Path) -> None:
    state = torch.load(colour_resnet18, weights_only=True)
    folded = fold_first_convolution(state, RESNET18)
    changed = {key for key in state if not torch.equal(folded[key], state[key])}
    assert changed == {"conv1.weight", "bn1.running_mean"}
    assert folded["conv1.weight"].shape == (64, 1, 7, 7)
    grey = fold_first_convolution(folded, RESNET18)
    assert all(grey[key] is folded[key] for key in folded)


def test_local_colour_file_is_refused(colour_resnet18: Path) -> None:
    with pytest.raises(WeightsError, match="1-channel first convolution is needed"):
        load_base(RunConfig(backbone="resnet18", weights=str(colour_resnet18)))


def test_imagenet_from_the_mirror(
    colour_resnet18: Path, home: Path, file_server: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = colour_resnet18.read_bytes()
    file_server.files["/weights/resnet18-f37072fd.pth"] = content
    config = RunConfig(backbone="resnet18", weights="imagenet")
    with pytest.raises(WeightsError, match="must begin with f37072fd"):
        load_base(config)
    name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    file_server.files[f"/weights/{name}"] = content
    published = Published(f"https://example.invalid/{name}", lambda: home / "hub")
    monkeypatch.setattr(sources, "published_weights", lambda weights, backbone: published)
    base = load_base(config)
    assert base.source == "imagenet"
    assert base.digest == load_base(config, site_weights=str(colour_resnet18)).digest
