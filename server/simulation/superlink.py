"""A SuperLink of its own for one simulation, and Flower's command to control it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.deployment.proxies import past_the_proxy
from shared.errors import RunError
from shared.plain import one_line

CONNECTION = "simulation"
START_SECONDS = 60.0
END_SECONDS = 30.0
ATTEMPTS = 5
LOG = "superlink.log"
_PORT_TAKEN = "address already in use"


@contextmanager
def superlink(place: Path) -> Iterator[dict[str, str]]:
    """A SuperLink on a free loopback port; yields the environment of its clients."""
    home = place / "home"
    home.mkdir()
    for attempt in range(1, ATTEMPTS + 1):
        port = _free_port()
        environment = _configure(home, port)
        with _started(place, environment, port) as process:
            try:
                _wait_for_port(process, port, place)
            except RunError:
                # Between the look for a free port and its use, another program can take it.
                if attempt == ATTEMPTS or _PORT_TAKEN not in _log_of(place):
                    raise
                continue
            yield environment
            return


def _configure(home: Path, port: int) -> dict[str, str]:
    """Write the file of Flower's command for this port; the environment that goes with it."""
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\n'
        f'address = "127.0.0.1:{port}"\ninsecure = true\n',
        encoding="utf-8",
    )
    return (
        os.environ
        | past_the_proxy("127.0.0.1", os.environ)
        | {
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "RAY_DEDUP_LOGS": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        }
    )


@contextmanager
def _started(
    place: Path, environment: dict[str, str], port: int
) -> Iterator[subprocess.Popen[bytes]]:
    """The guard with its SuperLink; both have ended after the block."""
    command = [_program("flower-superlink"), "--simulation", "--insecure", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--disable-runtime-dependency-installation"]
    guard = [sys.executable, "-m", "server.simulation.guard", environment["FLWR_HOME"]]
    with (place / LOG).open("wb") as log:
        process = subprocess.Popen(
            guard + command,
            cwd=place / "empty",
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _end(process)


def flwr(place: Path, environment: dict[str, str], *words: str) -> dict[str, Any]:
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
        raise RunError(
            f"Flower's command `flwr {words[0]}` failed ({_last_line(done.stderr or done.stdout)})."
        ) from None
    return answer


def _program(name: str) -> str:
    """A console script of the environment that runs this code."""
    return str(Path(sys.executable).parent / name)


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
    said = _last_line(_log_of(place))
    raise RunError(f"Flower's SuperLink did not start on port {port} ({said}).")


def _log_of(place: Path) -> str:
    return (place / LOG).read_text(encoding="utf-8", errors="replace")


def _last_line(said: str) -> str:
    """The line of a program's output that says what went wrong, a traceback's last one."""
    # Flower's command draws boxes around what it says.
    lines = [line.strip(" \t│╭╮╰╯─.") for line in said.splitlines()]
    found = [one_line(line, 300) for line in lines if line]
    return found[-1] if found else "it said nothing"


def _end(guard: subprocess.Popen[bytes]) -> None:
    """Let the guard end the SuperLink with all that it started."""
    if guard.stdin is not None:
        guard.stdin.close()
    try:
        guard.wait(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        guard.kill()
        guard.wait()
