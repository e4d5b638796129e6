"""`fedthaw health` against real gRPC health services on the loopback."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from flwr.supercore.grpc_health import run_health_server_grpc_no_tls
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from shared.errors import FedThawError
from shared.terminal.health import health_status

Here = Callable[..., tuple[int, str, str]]
Serve = Callable[[str], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a health service that answers this status; its address."""
    servers: list[grpc.Server] = []

    def start(status: str) -> str:
        servicer = HealthServicer()
        servicer.set("", HealthCheckResponse.ServingStatus.Value(status))
        server = grpc.server(ThreadPoolExecutor(max_workers=1))
        add_HealthServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(grace=None).wait()


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_process_that_serves(here: Here, serve: Serve) -> None:
    address = serve("SERVING")
    assert here("health", address) == (0, f"{address} is serving.\n", "")


@pytest.mark.parametrize("status", ["NOT_SERVING", "UNKNOWN"])
def test_a_process_that_does_not_serve(here: Here, serve: Serve, status: str) -> None:
    address = serve(status)
    code, out, err = here("health", address)
    assert (code, out) == (1, "")
    assert err == f"fedthaw: The process at {address} answers {status}; its own log says why.\n"


def test_the_service_that_both_roles_run(here: Here) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    service = run_health_server_grpc_no_tls(address)
    try:
        assert here("health", address)[0] == 0
    finally:
        service.stop(grace=None).wait()
    code, _, err = here("health", address)
    assert code == 1
    assert err.count("\n") == 1
    assert f"No health service answers at {address} (UNAVAILABLE)" in err


def test_a_web_proxy_is_not_asked(
    serve: Serve, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, f"http://{silent}")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert health_status(serve("SERVING")) == "SERVING"


def test_a_process_that_hangs_is_not_waited_for(silent: str) -> None:
    with pytest.raises(FedThawError, match=f"No health service answers at {silent}"):
        health_status(silent, seconds=0.3)


@pytest.mark.parametrize("address", ["9080", "127.0.0.1", "127.0.0.1:0", "http://hub:9080"])
def test_what_is_no_address_is_the_users_mistake(here: Here, address: str) -> None:
    code, out, err = here("health", address)
    assert (code, out) == (2, "")
    assert repr(address) in err
