"""Scores of images from the files of a run alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from client.imaging.image import decode, fit_square
from shared.model.network import build_network


@pytest.fixture
def probability() -> Callable[[Path, Path, int], float]:
    """The probability that a run's network gives an image file at this size."""

    def score(run: Path, path: Path, size: int) -> float:
        network = build_network("micro", dropout=0.0)
        network.load_state_dict(load_file(run / "model.safetensors"))
        network.eval()
        square = fit_square(decode(path).pixels, size, "pad").astype(np.float32)
        image = (2 * square / 65535 - 1) * 1024
        with torch.no_grad():
            return float(torch.sigmoid(network(torch.from_numpy(image)[None, None]).double()))

    return score
