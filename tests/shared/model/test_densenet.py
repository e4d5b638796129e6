"""DenseNet-121 against torchvision's own network, and the files that it is published in."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import densenet

from shared.errors import ConfigError, WeightsError
from shared.model.densenet import DENSENET121
from shared.model.network import build_network
from shared.model.pretrained import load_base
from shared.settings.config import RunConfig
from shared.settings.parse import parse_run_config
from shared.settings.schedule import plan_round

XRV_NAME = (
    "nih-pc-chex-mimic_ch-google-openi-kaggle-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best"
    ".pt"
)
CLASSES = (densenet.DenseNet, densenet._DenseBlock, densenet._DenseLayer, densenet._Transition)
LIBRARY = "torchxrayvision.models"
PARAMETERS = 6_948_609  # 7,978,856 - (3 - 1) * 64 * 49 - 1000 * 1025 + 1025


def theirs(classes: int, channels: int = 1, seed: int = 0) -> nn.Module:
    """torchvision's network, whose BatchNorm has seen something."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = torchvision.models.densenet121(num_classes=classes)
        first = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        network.set_submodule("features.conv0", first)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
                nn.init.normal_(module.running_mean)  # type: ignore[arg-type]
    return network.eval()


@pytest.fixture
def pickled(tmp_path: Path) -> Any:
    """Write a network as TorchXRayVision did: whole, its classes in `torchxrayvision.models`."""
    library: Any = ModuleType(LIBRARY)
    for kind in CLASSES:
        setattr(library, kind.__name__, kind)

    def write(network: nn.Module, *, new_format: bool) -> Path:
        path = tmp_path / XRV_NAME
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "torchxrayvision", ModuleType("torchxrayvision"))
            patch.setitem(sys.modules, LIBRARY, library)
            for kind in CLASSES:
                patch.setattr(kind, "__module__", LIBRARY)
            torch.save(network, path, _use_new_zipfile_serialization=new_format)
        return path

    return write


def images(side: int = 64) -> torch.Tensor:
    return torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(0)) * 2048 - 1024


def test_it_computes_what_torchvisions_network_does() -> None:
    network, reference = build_network("densenet121", dropout=0.0), theirs(classes=1)
    network.load_state_dict(reference.state_dict())
    assert list(network.state_dict()) == list(reference.state_dict())
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS
    with torch.no_grad():
        expected = reference(images()).flatten()
        assert torch.allclose(network.eval()(images()), expected, rtol=1e-4, atol=1e-4)


def test_it_thaws_by_dense_blocks() -> None:
    config = RunConfig(backbone="densenet121", schedule="progressive")
    assert [plan_round(config, number).trainable for number in (10, 13, 17, 23)] == [
        ("head",),
        ("denseblock4", "head"),
        ("denseblock3", "denseblock4", "head"),
        ("denseblock2", "denseblock3", "denseblock4", "head"),
    ]
    assert plan_round(config, 30).rates == {
        "denseblock2": 1e-4, "denseblock3": 2.5e-4, "denseblock4": 5e-4, "head": 1e-3,
    }  # fmt: skip
    assert DENSENET121.units_of(["denseblock1", "denseblock4"]) == {
        "denseblock1.block", "denseblock1.transition", "denseblock4.block", "denseblock4.norm",
    }  # fmt: skip


def test_settings_of_the_resnets_are_not_its() -> None:
    with pytest.raises(ConfigError, match="for another network than densenet121; set thaw-at"):
        parse_run_config({"backbone": "densenet121", "unfreeze-layer4": 0.2})
    with pytest.raises(ConfigError, match="'layer4' is not a stage before its head"):
        RunConfig(backbone="densenet121", thaw_at="layer4=0.1")
    flat = RunConfig(backbone="densenet121").to_flat()
    assert not [key for key in flat if "layer" in key]
    assert parse_run_config({"unfreeze-layer4": 0.1, **flat}).to_flat() == flat  # their default


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("new_format", [True, False])
def test_torchxrayvisions_file(pickled: Any, new_format: bool) -> None:
    """A whole network of 18 findings, in the format of PyTorch before 1.6 as well."""
    network = theirs(classes=18)
    path = pickled(network, new_format=new_format)
    base = load_base(RunConfig(backbone="densenet121", weights=str(path)))
    assert not base.has_head
    ours = build_network("densenet121", dropout=0.0)
    ours.load_state_dict(dict(base.state))
    with torch.no_grad():
        maps = torch.relu(network.get_submodule("features")(images()))
        assert torch.allclose(ours.eval().prefix(images(), "head"), maps, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_torchxrayvisions_file_from_the_mirror(
    pickled: Any, home: Path, file_server: SimpleNamespace
) -> None:
    file_server.files[f"/weights/{XRV_NAME}"] = pickled(theirs(18), new_format=False).read_bytes()
    base = load_base(RunConfig(backbone="densenet121", weights="xrv"))
    assert (base.source, base.has_head) == ("xrv", False)
    file_server.files[f"/weights/{XRV_NAME}"] = b"<html>please log in</html>"
    (home / "cache" / "weights" / XRV_NAME).unlink()
    with pytest.raises(WeightsError, match="not a weights file, perhaps a proxy's notice"):
        load_base(RunConfig(backbone="densenet121", weights="xrv"))


def test_torchvisions_file_with_its_older_keys(tmp_path: Path) -> None:
    state = theirs(classes=1000, channels=3).state_dict()
    older = {
        key.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): value
        for key, value in state.items()
    }
    torch.save(older, tmp_path / "densenet121.pth")
    config = RunConfig(backbone="densenet121", weights="imagenet")
    base = load_base(config, site_weights=str(tmp_path / "densenet121.pth"))
    assert base.state["features.conv0.weight"].shape == (64, 1, 7, 7)
    key = "features.denseblock1.denselayer1.norm1.weight"
    assert torch.equal(base.state[key], state[key])


def test_files_of_other_networks_are_refused(tmp_path: Path) -> None:
    torch.save(build_network("micro").state_dict(), tmp_path / "micro.pt")
    with pytest.raises(WeightsError, match=r"micro.pt does not fit the backbone: features.conv0"):
        load_base(RunConfig(backbone="densenet121", weights=str(tmp_path / "micro.pt")))
    torch.save(nn.Sequential(nn.Tanh()), tmp_path / "tanh.pt")
    with pytest.raises(WeightsError, match="Tanh is not part of a network"):
        load_base(RunConfig(backbone="densenet121", weights=str(tmp_path / "tanh.pt")))


def test_a_random_base_stays_calm() -> None:
    network = build_network("densenet121", dropout=0.0)
    base = load_base(RunConfig(backbone="densenet121", weights="random"))
    network.load_state_dict(dict(base.state))
    with torch.no_grad():
        features = network.eval().pool(network.prefix(images(), "head"))
    assert 0.1 < features.std() < 10
