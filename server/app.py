"""The coordinator's Flower ServerApp."""

from __future__ import annotations

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from server.coordinate import coordinate
from server.terminal import reporting
from shared.config import parse_run_config

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the federation that the run configuration describes."""
    config = parse_run_config(context.run_config)
    with reporting():
        coordinate(grid, config)
