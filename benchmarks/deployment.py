"""What a round costs beyond the sites' own computing, on the loopback: FedThaw and stock Flower.

Real processes: a coordinator and site clients with TLS and keys; for comparison the same two apps
under `flower-superlink` and `flower-supernode` as they come (without TLS, to their advantage).
Overhead is the round's time less the longest training and evaluation of a site.

    python benchmarks/deployment.py [--sites 2] [--rounds 3] [--skip-stock]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from shared.run.bundle import to_toml, write_app_folder
from shared.settings.config import RunConfig
from shared.settings.parse import parse_run_config

BIN = Path(sys.executable).parent
SITE = """[site]
name = "{name}"
[data]
images = "images"
labels = "labels.csv"
patient = "patient"
image = "file"
outcome = "outcome"
positive = ["sick"]
negative = ["well"]
[compute]
device = "cpu"
cache = "cache"
[policy]
min-cell = 1
least-training-patients = 2
least-held-out-patients = 1
least-difference = 1
least-steps = 1
largest-batch = 1.0
unaugmented-statistics = true
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--patients", type=int, default=10)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--skip-stock", action="store_true")
    given = parser.parse_args()
    config = parse_run_config(
        {
            "backbone": given.backbone, "weights": "random", "image-size": 32, "threads": 1,
            "probe-rounds": given.rounds, "rounds": given.rounds, "schedule": "full",
            "augmentation": "none", "min-sites": given.sites,
        }
    )  # fmt: skip
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python "
          f"{platform.python_version()}, flwr {version('flwr')}, torch {version('torch')}, "
          f"{given.sites} sites, {given.backbone}, 32 px")  # fmt: skip
    print(f"{'':<16}{'head-only rounds':>34}{'full-size rounds':>34}")
    print(f"{'':<16}" + 2 * f"{'round s':>12}{'overhead s':>12}{'MB each':>10}")
    arms = {"FedThaw": fedthaw} | ({} if given.skip_stock else {"stock Flower": stock})
    for name, arm in arms.items():
        with tempfile.TemporaryDirectory() as place:
            sites = [write_site(Path(place), f"site{i}", given.patients, i)
                     for i in range(given.sites)]  # fmt: skip
            ledger = arm(Path(place), sites, config)
            report(name, ledger, given.rounds)


def report(name: str, ledger: Path, rounds: int) -> None:
    """One row: medians over the rounds of each kind; the first round also starts the workers."""
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    row = f"{name:<16}"
    for part in (lines[1:rounds], lines[rounds + 1 :]):
        seconds = statistics.median(one["seconds"] for one in part)
        overhead = statistics.median(
            one["seconds"]
            - max(s["train_seconds"] + s["evaluate_seconds"] for s in one["sites"].values())
            for one in part
        )
        size = statistics.median(one["bytes_up"] / len(one["sites"]) for one in part)
        row += f"{seconds:>12.2f}{overhead:>12.2f}{size / 1e6:>10.2f}"
    print(row, flush=True)


def fedthaw(place: Path, sites: list[Path], config: RunConfig) -> Path:
    """As the README sets it up."""
    home, port = place / "coordinator", free_port()
    words = ("--home", str(home))
    run("server", "init", str(home), "--name", "127.0.0.1", "--port", str(port))
    for site in sites:
        run("server", "invite", site.name, *words)
        run("site", "init", str(site), "--invitation",
            str(home / "invitations" / f"{site.name}.json"))  # fmt: skip
        run("server", "register", site.name, str(site / "federation" / "key.pub"), *words)
        run("site", "approve", str(site), "--installed", "--any-settings-within-policy")
    with contextlib.ExitStack() as stack:
        stack.enter_context(started(place, "fedthaw", "server", "run", *words))
        for site in sites:
            stack.enter_context(started(place, "fedthaw", "site", "run", str(site)))
        flat = config.to_flat()
        flags = [w for k in flat if k not in ("out", "resume", "sites", "pooled")
                 for w in ("--set", f"{k}={flat[k]}" if not isinstance(flat[k], bool)
                           else f"{k}={str(flat[k]).lower()}")]  # fmt: skip
        run("submit", "--name", "bench", *words, *flags)
    return home / "runs" / "bench" / "ledger.jsonl"


def stock(place: Path, sites: list[Path], config: RunConfig) -> Path:
    """Flower's own processes, a new client process for each message."""
    port, app, out = free_port(), place / "app", place / "run"
    write_app_folder(app)
    flower = place / "flower"
    flower.mkdir()
    (flower / "config.toml").write_text(
        f'[superlink]\ndefault = "hub"\n[superlink.hub]\naddress = "127.0.0.1:{port}"\n'
        "insecure = true\n"
    )
    os.environ["FLWR_HOME"] = str(flower)
    settings = place / "run.toml"
    settings.write_text(to_toml(config.to_flat() | {"out": str(out)}))
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            started(place, "flower-superlink", "--insecure", "--host", "127.0.0.1", "--port",
                    str(port), "--disable-runtime-dependency-installation")
        )  # fmt: skip
        wait_for(port)
        for site in sites:
            stack.enter_context(
                started(place, "flower-supernode", "--insecure", "--superlink",
                        f"127.0.0.1:{port}", "--port", str(free_port()), "--node-config",
                        f'site="{site}"')
            )  # fmt: skip
        time.sleep(5)  # the nodes enter; a run that begins earlier waits for them
        subprocess.run(
            [BIN / "flwr", "run", app, "hub", "--run-config", settings],
            check=True, capture_output=True, cwd=place,
        )  # fmt: skip
        deadline = time.monotonic() + 1800
        while not (out / "summary.json").exists() and time.monotonic() < deadline:
            time.sleep(0.5)
    return out / "ledger.jsonl"


def run(*words: str) -> None:
    subprocess.run([BIN / "fedthaw", *words], check=True, capture_output=True)


@contextlib.contextmanager
def started(place: Path, program: str, *words: str) -> Iterator[None]:
    """A process of the environment's, ended with the block."""
    with (place / f"{program}.log").open("ab") as log:
        process = subprocess.Popen(
            [BIN / program, *words], cwd=place, stdout=log, stderr=log,
            env=os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
                              "FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1",
                              "OMP_WAIT_POLICY": "PASSIVE"},
        )  # fmt: skip
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def write_site(place: Path, name: str, patients: int, seed: int) -> Path:
    """A hospital of noise: this measures transport, not medicine."""
    rng = np.random.default_rng(seed)
    (place / name / "images").mkdir(parents=True)
    rows = ["patient,file,outcome"]
    for number in range(patients):
        pixels = rng.integers(0, 255, (32, 32), np.uint8)
        Image.fromarray(pixels).save(place / name / "images" / f"{number}.png")
        rows.append(f"P{number},{number}.png,{('well', 'sick')[number % 2]}")
    (place / name / "labels.csv").write_text("\n".join(rows) + "\n")
    (place / name / "site.toml").write_text(SITE.format(name=name))
    return place / name


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise SystemExit(f"nothing listens on port {port}")


if __name__ == "__main__":
    main()
