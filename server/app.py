"""The coordinator's Flower ServerApp."""

from __future__ import annotations

from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from server.coordinate import coordinate
from server.run.failure import clear_failure, write_failure
from server.terminal import reporting
from shared.config import parse_run_config
from shared.errors import FedThawError

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the federation that the run configuration describes."""
    config = parse_run_config(context.run_config)
    try:
        with reporting():
            coordinate(grid, config)
        if config.out:
            clear_failure(Path(config.out))
    except FedThawError as error:
        if config.out:
            write_failure(Path(config.out), error)
        raise
