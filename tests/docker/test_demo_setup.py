"""The demo's setup, without Docker; and then the commands of the compose file on what it made."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from client.settings import load_site
from shared.errors import FedThawError
from shared.run.bundle import build_bundle
from shared.terminal.health import health_status

BIN = Path(sys.executable).parent
SITES = ("north", "east")
Here = Callable[..., tuple[int, str, str]]
Setup = Callable[..., str]


@pytest.fixture
def setup(docker_folder: Path, tmp_path: Path) -> Setup:
    """Run the script on `tmp_path/demo`; what it printed."""

    def run(*words: object) -> str:
        return subprocess.run(
            ["sh", docker_folder / "demo-setup.sh", tmp_path / "demo", *map(str, words)],
            env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)},
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    return run


def _kept(folder: Path) -> dict[str, bytes]:
    """What a second time must leave as it is."""
    names = ("coordinator/ca.crt", "coordinator/server.key", "coordinator/sites.json")
    each = ("home/key", "home/ca.crt", "home/approved.json", "data/site.toml")
    files = [*names, *(f"{site}/{name}" for site in SITES for name in each)]
    return {name: (folder / name).read_bytes() for name in files}


@pytest.mark.slow
def test_the_demo_is_ready_after_it_and_a_second_time_changes_nothing(
    setup: Setup, tmp_path: Path, here: Here
) -> None:
    folder = tmp_path / "demo"
    setup()
    registered = json.loads(here("server", "sites", "--json", "--home", folder / "coordinator")[1])
    assert [site["name"] for site in registered] == ["east", "north"]
    for site in SITES:
        data, home = folder / site / "data", folder / site / "home"
        settings = load_site(data)
        assert settings.name == site
        assert not settings.cache.is_relative_to(data)
        assert len(list(settings.images.glob("*.dcm"))) > 50
        assert not (data / "federation").exists()
        assert home.stat().st_mode & 0o777 == 0o700
        assert json.loads((home / "federation.json").read_bytes()) == {"server": "server:8443"}
        assert build_bundle().digest in (home / "approved.json").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo"]  # no scratch is left
    before = _kept(folder)
    assert "Already approved" in setup()
    assert _kept(folder) == before


@pytest.mark.slow
def test_the_commands_of_the_compose_file_make_a_federation(
    setup: Setup, tmp_path: Path, compose: dict[str, Any], free_port: Callable[[], int]
) -> None:
    folder, (port, *health) = tmp_path / "demo", [free_port() for _ in range(4)]
    setup("localhost", port)
    coordinator = {"FEDTHAW_COORDINATOR": str(folder / "coordinator")}
    with ExitStack() as started:
        processes = []
        for name, own in zip(("server", *SITES), health, strict=True):
            changed = {"/data": str(folder / name / "data"), "127.0.0.1:9080": f"127.0.0.1:{own}"}
            words = [changed.get(word, word) for word in compose["services"][name]["command"]]
            home = {"FEDTHAW_SITE_HOME": str(folder / name / "home")}
            environment = os.environ | (coordinator if name == "server" else home)
            process = subprocess.Popen([BIN / "fedthaw", *words], env=environment)
            processes.append(started.enter_context(process))
            started.callback(process.kill)
        for own, process in zip(health, processes, strict=True):
            _wait_until_serving(f"127.0.0.1:{own}", process)
        settings = ("backbone=micro", "weights=random", "image-size=32", "threads=1",
                    "probe-rounds=1", "rounds=2")  # fmt: skip
        chosen = [word for setting in settings for word in ("--set", setting)]
        done = subprocess.run(
            [BIN / "fedthaw", "submit", "--json", *chosen], env=os.environ | coordinator,
            capture_output=True, text=True, check=True, timeout=270,
        )  # fmt: skip
        summary = json.loads(done.stdout)
        assert (sorted(summary["sites"]), summary["rounds"]) == (["east", "north"], 3)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(60) for process in processes] == [0, 0, 0]


def _wait_until_serving(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            assert health_status(address) == "SERVING"
            return
        except FedThawError:
            assert process.poll() is None, f"ended: {process!r}"
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
