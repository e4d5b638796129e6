"""Flower's own simulation engine (Ray), for several GPUs or many cores.

A short-lived SuperLink of its own runs the same two apps; nothing of it stays behind. Progress is
read from the run's ledger, which the ServerApp writes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from server.run.failure import clear_failure, read_failure
from server.run.ledger import read_rounds
from server.simulation.bundle import to_toml, write_app_folder
from server.terminal import reporting
from shared.config import RunConfig
from shared.errors import ConfigError, FedThawError, RunError, UserError
from shared.events import RoundFinished, RunStarted, emit
from shared.schedule import total_rounds

CONNECTION = "simulation"
START_SECONDS = 60.0
POLL_SECONDS = 1.0
STATUS_SECONDS = 10.0


def simulate_on_ray(config: RunConfig, nodes: int) -> None:
    """Run the federation of `config.sites` to its end; the result is in the run's folder."""
    if importlib.util.find_spec("ray") is None:
        raise ConfigError(
            "--backend ray needs Flower's simulation extra: pip install 'fedthaw[simulation]'."
        )
    folder = Path(config.out)
    clear_failure(folder)
    with tempfile.TemporaryDirectory(prefix="fedthaw-") as temporary:
        place = Path(temporary)
        write_app_folder(place / "app")
        # Ray's workers search their working directory for packages before the app: keep it empty.
        (place / "empty").mkdir()
        with _superlink(place) as environment, reporting():
            run = _submit(place, environment, config, nodes)
            _follow(place, environment, config, run)


@contextmanager
def _superlink(place: Path) -> Iterator[dict[str, str]]:
    """A SuperLink on a free loopback port; yields the environment of its clients."""
    port = _free_port()
    home = place / "home"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\n'
        f'address = "127.0.0.1:{port}"\ninsecure = true\n',
        encoding="utf-8",
    )
    environment = os.environ | {
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_DEDUP_LOGS": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    command = [_program("flower-superlink"), "--simulation", "--insecure", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--disable-runtime-dependency-installation"]
    with (place / "superlink.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=place / "empty",
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_for_port(process, port, place)
            yield environment
        finally:
            _end(process)


def _submit(place: Path, environment: dict[str, str], config: RunConfig, nodes: int) -> str:
    """Start the run; returns Flower's number of it."""
    settings = place / "run.toml"
    settings.write_text(to_toml(config.to_flat()), encoding="utf-8")
    cores = os.cpu_count() or 1
    # A site's threads are the same as in-process, and with them the last bit of every sum.
    threads = min(config.threads or cores, cores)
    resources = (
        f"num-supernodes={nodes} client-resources-num-cpus={threads} init-args-num-cpus={cores}"
    )
    if gpus := _gpus():
        resources += f" client-resources-num-gpus=1.0 init-args-num-gpus={gpus}"
    answer = _flwr(
        place, environment, "run", str(place / "app"), CONNECTION, "--run-config", str(settings),
        "--federation-config", resources, "--format", "json",
    )  # fmt: skip
    if "run-id" not in answer:
        raise RunError(f"Flower did not start the run: {answer}.")
    return str(answer["run-id"])


def _follow(place: Path, environment: dict[str, str], config: RunConfig, run: str) -> None:
    """Tell the ledger's rounds as they come, until Flower says that the run has ended."""
    folder, rounds = Path(config.out), total_rounds(config)
    names = tuple(Path(site).name for site in config.sites.split(os.pathsep))
    done = len(read_rounds(folder / "ledger.jsonl")) if config.resume else 0
    emit(RunStarted(run, names, rounds, done, str(folder)))
    asked = time.monotonic()
    while True:
        time.sleep(POLL_SECONDS)
        for record in read_rounds(folder / "ledger.jsonl")[done:]:
            size = record.bytes_down + record.bytes_up
            emit(
                RoundFinished(record.round, rounds, record.loss, record.auroc, size, record.seconds)
            )
            done = record.round
        if time.monotonic() - asked > STATUS_SECONDS:
            asked = time.monotonic()
            status = _status(place, environment, run)
            if status.startswith("finished"):
                _conclude(place, folder, status)
                return


def _conclude(place: Path, folder: Path, status: str) -> None:
    """Return for a completed run; else raise what the ServerApp left, or point to Flower's log."""
    failure = read_failure(folder)
    if failure is not None:
        kind: type[FedThawError] = UserError if failure.exit_code == 2 else RunError
        raise kind(failure.sentence)
    if status != "finished:completed":
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "flower.log"
        log.write_bytes((place / "superlink.log").read_bytes())
        raise RunError(
            f"Flower's engine ended the run ({status}); its log is {log}. What was done so far is "
            "kept; continue with --resume."
        )


def _status(place: Path, environment: dict[str, str], run: str) -> str:
    answer = _flwr(place, environment, "ls", CONNECTION, "--run-id", run, "--format", "json")
    runs = answer.get("runs") or [{}]
    return str(runs[0].get("status", "unknown"))


def _flwr(place: Path, environment: dict[str, str], *words: str) -> dict[str, Any]:
    """Flower's command with JSON output."""
    done = subprocess.run(
        [_program("flwr"), *words],
        cwd=place / "empty",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = (done.stderr or done.stdout).strip()
        raise RunError(f"Flower's command `flwr {words[0]}` failed: {said}") from None
    return answer


def _program(name: str) -> str:
    """A console script of the environment that runs this code."""
    return str(Path(sys.executable).parent / name)


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(process: subprocess.Popen[bytes], port: int, place: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    tail = (place / "superlink.log").read_text(encoding="utf-8", errors="replace")[-500:]
    raise RunError(f"Flower's SuperLink did not start on port {port}: {tail.strip()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the SuperLink with all that it started; it has a session of its own."""
    for signal in (15, 9):
        try:
            os.killpg(process.pid, signal)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            continue
