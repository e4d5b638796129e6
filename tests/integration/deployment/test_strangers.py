"""Strangers push at the sites' port with all that a machine gives them; the federation goes on.

Each way of pushing is a process of its own (`strangers/push.py`), on the loopback only, bounded in
time and in connections.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
Deploy = Callable[..., Any]
PUSH = Path(__file__).parent / "strangers" / "push.py"
CONFIGURATION = Path(__file__).parents[3] / "docker" / "haproxy.cfg"
SECONDS = 6.0
"""That each way is pushed in, at least."""
LOOKS = 6
"""At how the coordinator is, at least."""
PATIENCE = 5.0
"""Within which the coordinator answers everybody else, on a machine of two busy cores."""
MEGABYTES = 150
"""That strangers together may cost the coordinator in memory."""
HOME = "127.0.0.1"
"""Where the sites of these tests and whoever asks for /health come from."""


@contextlib.contextmanager
def pushing(port: int, seconds: float, *ways: tuple[str, str]) -> Iterator[None]:
    """Strangers, each of its kind and from its address, as processes that end by themselves."""
    words = [[kind, str(port), str(seconds), address] for kind, address in ways]
    started = [
        subprocess.Popen([sys.executable, str(PUSH), *one], stdout=subprocess.PIPE) for one in words
    ]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
            process.communicate()


def health(port: int, source: str, authority: Path) -> float:
    """Seconds until /health has answered this address over TLS; infinite where it has not."""
    context = ssl.create_default_context(cafile=authority)
    start = time.monotonic()
    try:
        with (
            socket.create_connection((HOME, port), PATIENCE, (source, 0)) as plain,
            context.wrap_socket(plain, server_hostname=HOME) as secured,
        ):
            secured.sendall(b"GET /health HTTP/1.1\r\nHost: hub\r\n\r\n")
            found = secured.recv(100)
    except OSError:
        return float("inf")
    return time.monotonic() - start if found.startswith(b"HTTP/1.1 200") else float("inf")


def resident(process: Any) -> float:
    """Megabytes of memory."""
    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize(
    ("kind", "address", "in_vain"),
    [
        ("headers", "127.0.0.5", 1), ("kept", "127.0.0.5", 1), ("body", "127.0.0.5", 1),
        ("pipeline", "127.0.0.5", 1), ("idle-tls", HOME, 3),
    ],
)  # fmt: skip
def test_a_stranger_neither_shuts_others_out_nor_fills_the_memory(
    deploy: Deploy, kind: str, address: str, in_vain: int
) -> None:
    """Who asks may ask so often in vain: when thousands arrive at that very moment.

    The idle ones share their address with who asks, as behind a hospital's router. Of one address
    the newest is let in first, and the system makes some of the 4,200 arrive after 1, 3 and 7 s.
    """
    deployment = deploy(sites=0)
    server = deployment.serve()
    authority = deployment.home / "ca.crt"
    assert health(deployment.port, HOME, authority) < PATIENCE
    before = most = resident(server)
    took: list[float] = []
    with pushing(deployment.port, 60, (kind, address)):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end or len(took) < LOOKS:
            time.sleep(0.3)
            took.append(health(deployment.port, HOME, authority))
            most = max(most, resident(server))
    assert sum(seconds >= PATIENCE for seconds in took) <= in_vain, took
    assert most - before < MEGABYTES
    if kind != "kept":  # its connection closes with its first answer, which refuses nobody
        deployment.wait(lambda: f" from {address} (" in server.said, server)


def test_registered_sites_train_while_strangers_push(deploy: Deploy) -> None:
    deployment = deploy()
    server = deployment.serve()
    clients = deployment.clients()
    for client in clients.values():
        deployment.wait(lambda client=client: "Connected to" in client.said, client)
    before = resident(server)
    ways = [
        ("headers", "127.0.0.5"),
        ("kept", "127.0.0.6"),
        ("idle-tls", "127.0.0.7"),
        ("churn", HOME),
    ]
    took, most = [], before
    with pushing(deployment.port, 60, *ways):
        submitted = deployment.submit(rounds=2)
        while submitted.popen.poll() is None:
            time.sleep(1)
            took.append(health(deployment.port, "127.0.0.9", deployment.home / "ca.crt"))
            most = max(most, resident(server))
        # They are still there.
        assert len(deployment.rounds()) == 3
    deployment.finish(submitted)
    assert [sorted(line["sites"]) for line in deployment.rounds()] == [["east", "north"]] * 3
    assert all(not line["absent"] and not line["refused"] for line in deployment.rounds())
    assert sum(one < PATIENCE for one in took) >= 0.9 * len(took)
    assert most - before < 2 * MEGABYTES


@pytest.fixture
def haproxy() -> str:
    found = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
    if found is None:
        pytest.skip("HAProxy is not installed")
    return found


def test_behind_the_proxy_of_docker(
    deploy: Deploy, haproxy: str, free_port: Callable[[], int]
) -> None:
    """It passes sites on with their addresses, and few of a stranger's connections."""
    deployment, port = deploy(sites=0), free_port()
    text = CONFIGURATION.read_text(encoding="utf-8")
    coordinator = f"{HOME}:{deployment.port}"
    changes = {"bind :8443": f"bind {HOME}:{port}", "127.0.0.1:8444": coordinator}
    for line, ours in changes.items():
        assert text.count(line) >= 1
        text = text.replace(line, ours)
    file = deployment.folder / "haproxy.cfg"
    file.write_text(text, encoding="utf-8")
    server = deployment.serve("--proxy", HOME)
    authority = deployment.home / "ca.crt"
    with subprocess.Popen([haproxy, "-db", "-f", file], stdout=subprocess.DEVNULL) as proxy:
        try:
            deployment.wait(lambda: health(port, "127.0.0.9", authority) < PATIENCE, server)
            with pushing(port, 5, ("idle-tls", "127.0.0.5"), ("kept", "127.0.0.6")):
                time.sleep(2)
                took = [health(port, "127.0.0.9", authority) for _ in range(5)]
            assert max(took) < PATIENCE
            deployment.wait(lambda: "Connections refused: " in server.said, server)
            assert "127.0.0.1" not in server.said.partition("Connections refused")[2]
        finally:
            proxy.terminate()
    # Who comes past the proxy's header is not let in from the proxy's address.
    assert health(deployment.port, HOME, authority) == float("inf")
