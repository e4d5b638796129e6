"""The project's root is a Flower app that Flower's own command runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server.simulation.guard import end_all

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
PORTS = (39091, 39093)
"""Flower's local SuperLink listens there, wherever FLWR_HOME is."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def in_use(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_flwr_run_gives_the_same_model(
    tmp_path: Path, kept_sites: Any, model_of: Any, undisturbed: Any, processes_with: Any
) -> None:
    if not (ROOT / "pyproject.toml").exists() or any(map(in_use, PORTS)):
        pytest.skip("needs the repository, and no other local SuperLink of Flower")
    home, run = tmp_path / "home", tmp_path / "run"
    home.mkdir()
    settings = {
        "sites": os.pathsep.join(map(str, kept_sites)), "weights": "random", "backbone": "micro",
        "image-size": 32, "rounds": 3, "probe-rounds": 1, "threads": 1, "out": str(run),
    }  # fmt: skip
    words = " ".join(
        f"{key}={value}" if isinstance(value, int) else f"{key}='{value}'"
        for key, value in settings.items()
    )
    environment = os.environ | {
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    command = [
        str(BIN / "flwr"), "run", str(ROOT), "local", "--stream", "--run-config", words,
        "--federation-config", "num-supernodes=2 client-resources-num-cpus=2",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=840,
            check=False,
        )  # fmt: skip
    finally:
        end_all(str(home))
    assert done.returncode == 0, done.stdout + done.stderr
    assert processes_with(f"FLWR_HOME={home}") == []
    assert model_of(run) == undisturbed()
