"""`fedthaw health`: ask a running process of either role whether it serves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from shared.deployment.names import parse_address, to_address
from shared.errors import FedThawError

app = typer.Typer(add_completion=False)
SECONDS = 5.0
"""How long an answer may take; a process on the same machine needs a hundredth of it."""


@app.command()
def health(
    address: Annotated[
        str,
        typer.Argument(
            metavar="HOST:PORT", help="The address given to that process with --health."
        ),
    ],
) -> None:
    """Ask the health service of a running server or site.

    Example: fedthaw health 127.0.0.1:9080

    Exit code 0 when it is serving, else 1. It asks by the gRPC health protocol, so any other client
    of that protocol works too.
    """
    checked = to_address(*parse_address(address))
    status = health_status(checked)
    if status != "SERVING":
        raise FedThawError(f"The process at {checked} answers {status}; its own log says why.")
    typer.echo(f"{checked} is serving.")


HealthOption = Annotated[
    str | None,
    typer.Option(
        "--health", metavar="ADDRESS", help="HOST:PORT of a gRPC health service; default: none."
    ),
]


@contextmanager
def health_service(address: str | None) -> Iterator[None]:
    """Serve grpc.health.v1 at HOST:PORT meanwhile; it says SERVING while this process lives.

    Raises ConfigError for an invalid address.
    """
    if address is None:
        yield
        return
    from flwr.supercore.grpc_health import run_health_server_grpc_no_tls

    service = run_health_server_grpc_no_tls(to_address(*parse_address(address)))
    try:
        yield
    finally:
        service.stop(grace=None)


def health_status(address: str, seconds: float = SECONDS) -> str:
    """The status by its name in grpc.health.v1, such as SERVING or NOT_SERVING.

    Raises FedThawError where no health service answers within `seconds`.
    """
    import grpc
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
    from grpc_health.v1.health_pb2_grpc import HealthStub

    # A hospital's web proxy knows nothing of this machine's own ports.
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            reply = HealthStub(channel).Check(HealthCheckRequest(), timeout=seconds)
        except grpc.RpcError as error:
            raise FedThawError(
                f"No health service answers at {address} ({error.code().name}); start the server "
                f"or the site with --health {address}."
            ) from None
    return str(HealthCheckResponse.ServingStatus.Name(reply.status))
