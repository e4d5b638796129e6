"""Single images under the model of a real run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from shared.model.checkpoints import read_checkpoint
from shared.model.network import build_network
from shared.settings.config import RunConfig


def test_images_of_a_site_under_a_runs_final_model(
    federated: Callable[..., RunConfig], simulate: Callable[[RunConfig], dict[str, Any]],
    three_sites: tuple[Path, ...], here: Callable[..., tuple[int, str, str]],
) -> None:  # fmt: skip
    config = federated(rounds=1)
    simulate(config)
    begun = json.loads((Path(config.out) / "config.json").read_text(encoding="utf-8"))
    assert begun["finding"] == "sick (outcome)", "as the sites' tables name it"
    before = set(Path(config.out).rglob("*"))
    network = build_network("micro", dropout=0.0)
    network.load_state_dict(read_checkpoint(Path(config.out) / "model.safetensors"))
    network.eval()
    code, out, _ = here("predict", config.out, three_sites[0] / "images", "--json")
    found = json.loads(out)
    assert (code, found["refused"]) == (0, [])
    assert len(found["images"]) == len(list((three_sites[0] / "images").iterdir()))
    for item in found["images"]:
        pixels = np.asarray(Image.open(item["file"])).astype(np.float32)
        with torch.no_grad():
            logit = network(torch.from_numpy((2 * pixels / 255 - 1) * 1024)[None, None])
        assert item["probability"] == pytest.approx(float(torch.sigmoid(logit)), abs=1e-4)
        assert item["distance"] is not None
    assert set(Path(config.out).rglob("*")) == before
