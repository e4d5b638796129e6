"""A registered site that lies, in processes of its own: named, and without a share in the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("act", "reason"),
    [("huge", "its update"), ("images", "more than 1000 images a patient")],
)
def test_a_site_that_lies_is_refused_by_name(
    deploy: Callable[..., Any], act: str, reason: str
) -> None:
    deployment = deploy(3)
    deployment.serve()
    north, east, west = deployment.sites
    lies = {"site": "north", "round": 0, "times": 100, "act": act}
    deployment.client(north, faults=lies)
    for honest in (east, west):
        deployment.client(honest)
    deployment.finish(deployment.submit(**{"min-sites": 2}))
    for record in deployment.rounds():
        assert sorted(record["sites"]) == ["east", "west"]
        assert reason in record["refused"]["north"]
    tensors = load_file(deployment.run_folder("run") / "model.safetensors")
    assert max(np.abs(a).max() for name, a in tensors.items() if "running" not in name) < 10
