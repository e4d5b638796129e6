"""`fedthaw server`: what the coordinator does, from its folder to its process."""

from __future__ import annotations

import typer

from server.cli.log import log
from server.cli.notify import notify
from server.cli.run import run
from server.cli.setup import init, renew
from server.cli.sites import invite, register, remove, sites
from server.cli.status import status

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def server() -> None:
    """What the coordinator does."""


for command in (init, invite, register, run, status, log, sites, remove, renew, notify):
    app.command()(command)
