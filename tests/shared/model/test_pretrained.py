"""Tests of shared.model.pretrained."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from shared.errors import ConfigError, WeightsError
from shared.model.freezing import state_digest
from shared.model.network import build_network
from shared.model.pretrained import initial_head, load_base
from shared.settings.config import RunConfig

XRV_NAME = "pc-nih-rsna-siim-vin-resnet50-test512-e400-state.pt"


def _micro(weights: str, **settings: object) -> RunConfig:
    return RunConfig(backbone="micro", weights=weights, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def xrv_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in with the keys and shapes of TorchXRayVision's file: 1 channel, 18 classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = torchvision.models.resnet50(num_classes=18).state_dict()
    state["conv1.weight"] = state["conv1.weight"][:, :1].clone()
    path = tmp_path_factory.mktemp("xrv") / XRV_NAME
    torch.save(state, path)
    return path


@pytest.fixture
def micro_file(tmp_path: Path) -> Path:
    path = tmp_path / "micro.safetensors"
    state = build_network("micro", seed=9).state_dict()
    save_file({k: v for k, v in state.items() if not k.startswith("fc.")}, path)
    return path


def test_random_base_follows_the_seed_alone() -> None:
    before = torch.get_rng_state()
    first, again = load_base(_micro("random", seed=1)), load_base(_micro("random", seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.digest == again.digest == state_digest(first.state)
    assert load_base(_micro("random", seed=2)).digest != first.digest
    assert (first.source, first.file_sha256, first.has_head) == ("random", "", False)
    assert not first.state["fc.weight"].any()
    assert not first.state["fc.bias"].any()
    assert first.state["conv1.weight"].std() > 0
    assert not any(value.requires_grad for value in first.state.values())
    build_network("micro").load_state_dict(first.state, strict=True)


def test_random_base_has_no_file_to_pin() -> None:
    with pytest.raises(ConfigError, match="leave weights-sha256 empty"):
        load_base(_micro("random", weights_sha256="ab" * 32))


def test_local_file(micro_file: Path) -> None:
    sha256 = hashlib.sha256(micro_file.read_bytes()).hexdigest()
    base = load_base(_micro(str(micro_file), weights_sha256=sha256))
    assert base.source == "file micro.safetensors"
    assert base.file_sha256 == sha256
    assert not base.has_head
    expected = build_network("micro", seed=9).state_dict()
    assert list(base.state) == list(expected)
    for key, value in base.state.items():
        if key.startswith("fc."):
            assert not value.any()
        else:
            assert torch.equal(value, expected[key])


def test_local_file_with_head(tmp_path: Path) -> None:
    state = build_network("micro", seed=9).state_dict()
    torch.save({f"module.{key}": value.half() for key, value in state.items()}, tmp_path / "m.pt")
    base = load_base(_micro(str(tmp_path / "m.pt")))
    assert base.has_head
    assert torch.equal(base.state["fc.weight"], state["fc.weight"].half().float())


def test_a_site_names_its_own_copy(micro_file: Path) -> None:
    there = load_base(_micro("/coordinator/base.safetensors"), site_weights=str(micro_file))
    assert there.digest == load_base(_micro(str(micro_file))).digest


def test_home_is_expanded(micro_file: Path, home: Path) -> None:
    os.replace(micro_file, home / "mine.safetensors")
    assert load_base(_micro("~/mine.safetensors")).source == "file mine.safetensors"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights file at .*absent\.pt"):
        load_base(_micro(str(tmp_path / "absent.pt")))
    with pytest.raises(WeightsError, match="must be xrv, imagenet, random, or the path"):
        load_base(_micro("imagnet"))


def test_altered_file_is_not_touched(micro_file: Path) -> None:
    content = micro_file.read_bytes()
    with pytest.raises(WeightsError, match=f"{micro_file}.*must be {'0' * 64}"):
        load_base(_micro(str(micro_file), weights_sha256="0" * 64))
    assert micro_file.read_bytes() == content


def test_wrong_backbone(xrv_file: Path) -> None:
    with pytest.raises(WeightsError, match=r"does not fit the backbone: .*; and \d+ more"):
        load_base(RunConfig(backbone="resnet18", weights=str(xrv_file)))


def test_xrv_from_the_mirror_then_from_the_cache(
    xrv_file: Path, home: Path, file_server: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_server.files[f"/weights/{XRV_NAME}"] = xrv_file.read_bytes()
    config = RunConfig(backbone="resnet50", weights="xrv")
    base = load_base(config)
    assert base.source == "xrv"
    assert not base.has_head
    assert base.state["fc.weight"].shape == (1, 2048)
    saved = torch.load(xrv_file, weights_only=True)
    assert torch.equal(base.state["layer4.2.conv3.weight"], saved["layer4.2.conv3.weight"])
    monkeypatch.setenv("FEDTHAW_WEIGHTS_MIRROR", "http://127.0.0.1:1")
    assert load_base(config).digest == base.digest


def test_torchxrayvision_copy_is_used_first(xrv_file: Path, home: Path) -> None:
    folder = home / ".torchxrayvision" / "models_data"
    folder.mkdir(parents=True)
    os.link(xrv_file, folder / XRV_NAME)
    assert load_base(RunConfig(weights="xrv")).source == "xrv"
    assert not (home / "cache").exists()


def test_the_head_of_published_weights_is_of_other_findings(xrv_file: Path, home: Path) -> None:
    """Even where they are as many as the run's; the same with a site's own copy of the file."""
    folder = home / ".torchxrayvision" / "models_data"
    folder.mkdir(parents=True)
    os.link(xrv_file, folder / XRV_NAME)
    labels = f"labels: {' | '.join(f'l{n}' for n in range(18))}"
    base = load_base(RunConfig(weights="xrv", outcome=labels))
    assert not base.has_head
    assert base.state["fc.weight"].shape == (18, 2048)
    assert not base.state["fc.weight"].any()
    copied = load_base(RunConfig(weights="xrv", outcome=labels), str(xrv_file))
    assert copied.digest == base.digest
    # A file that a run names itself may be one of its own findings.
    assert load_base(RunConfig(weights=str(xrv_file), outcome=labels)).has_head


def test_weights_for_another_backbone() -> None:
    with pytest.raises(ConfigError, match=r"resnet50.* only, not for micro"):
        load_base(_micro("xrv"))


def test_initial_head() -> None:
    before = torch.get_rng_state()
    head = initial_head("resnet50", 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert head["fc.weight"].shape == (1, 2048)
    bound = (6 / 2049) ** 0.5
    assert 0.95 * bound < head["fc.weight"].abs().max().item() <= bound
    assert abs(head["fc.weight"].mean().item()) < 0.1 * bound
    assert head["fc.bias"].tolist() == pytest.approx([0.01])
    assert torch.equal(head["fc.weight"], initial_head("resnet50", 3)["fc.weight"])
    assert not torch.equal(head["fc.weight"], initial_head("resnet50", 4)["fc.weight"])
    with pytest.raises(ConfigError, match="resnet34"):
        initial_head("resnet34", 0)


def test_development_base() -> None:
    """The radiograph-pretrained checkpoint of the shared folder, where that is at hand."""
    beside = Path(__file__).parents[4] / "shared"
    shared = Path(os.environ.get("FEDTHAW_SHARED", beside))
    path = shared / "weights" / "cxr-resnet50-pediatric.safetensors"
    if not path.is_file():
        pytest.skip("set FEDTHAW_SHARED to the folder that holds weights/")
    sha256 = "c1c662efa788cffc81dcd89ed947bd751de1d8b6ab84b231ee60ed8a7b7984d9"
    base = load_base(RunConfig(weights=str(path), weights_sha256=sha256))
    assert not base.has_head
    assert all(
        value.dtype == torch.float32 for key, value in base.state.items() if "tracked" not in key
    )
    model = build_network("resnet50").eval()
    model.load_state_dict(base.state, strict=True)
    with torch.no_grad():
        features = model.prefix(torch.zeros(1, 1, 64, 64), "head")
    assert features.shape[1] == 2048
    assert bool(torch.isfinite(features).all())
