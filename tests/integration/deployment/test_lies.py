"""Registered sites that lie, in processes of their own: named, and with no share in the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

pytestmark = pytest.mark.slow


LIES = {"north": ("huge", "its update"), "west": ("images", "more than 1000 images a patient")}


def test_sites_that_lie_are_refused_by_name(deploy: Callable[..., Any]) -> None:
    deployment = deploy(4)
    deployment.serve()
    for site in deployment.sites:
        act = LIES[site.name][0] if site.name in LIES else None
        lies = {"site": site.name, "round": 0, "times": 100, "act": act}
        deployment.client(site, faults=lies if act else None)
    deployment.finish(deployment.submit(**{"min-sites": 2}))
    for record in deployment.rounds():
        assert sorted(record["sites"]) == ["east", "south"]
        for name, (_, reason) in LIES.items():
            assert reason in record["refused"][name]
    tensors = load_file(deployment.run_folder("run") / "model.safetensors")
    assert max(np.abs(a).max() for name, a in tensors.items() if "running" not in name) < 10
