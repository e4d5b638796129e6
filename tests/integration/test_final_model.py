from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torchvision.models import resnet18

from shared.model.network import build_network
from shared.settings.config import RunConfig


@pytest.mark.parametrize("batch_norm", ["average", "local"])
def test_the_final_model_is_torchvisions_resnet(
    tmp_path: Path, three_sites: tuple[Path, ...], write_base: Callable[..., Path],
    federated: Callable[..., RunConfig], simulate: Callable[[RunConfig], dict[str, Any]],
    batch_norm: str,
) -> None:  # fmt: skip
    base = write_base(tmp_path / "resnet18.safetensors", "resnet18")
    config = federated(
        backbone="resnet18", weights=str(base), sites=three_sites[:2], rounds=1, probe_rounds=0,
        schedule="full", batch_norm=batch_norm,
    )  # fmt: skip
    simulate(config)
    state = load_file(tmp_path / "run" / "model.safetensors")
    network = resnet18(num_classes=1)
    network.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    network.load_state_dict(state, strict=True)
    ours = build_network("resnet18", dropout=0.0)
    ours.load_state_dict(state, strict=True)
    images = (torch.rand(5, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1) * 1024
    with torch.no_grad():
        theirs, logits = network.eval()(images)[:, 0], ours.eval()(images)
    assert logits.std() > 0
    # Ours runs with the channels last, so sums are taken in another order.
    torch.testing.assert_close(logits, theirs, rtol=2e-5, atol=2e-5)
