"""`fedthaw site`: what a hospital does. One file a group of commands."""

from __future__ import annotations

import typer

from client.cli.approve import approve, revoke
from client.cli.check import check
from client.cli.federation import init, key, renew_key
from client.cli.importing import import_images
from client.cli.log import log
from client.cli.new import new
from client.cli.phantoms import phantoms
from client.cli.run import run
from client.cli.scores import scores
from client.cli.trial import trial

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def site() -> None:
    """What a hospital does."""


for command in (new, check, init, key, renew_key, approve, revoke, run, log, scores, phantoms):
    app.command()(command)
app.command("import")(import_images)
app.command("test")(trial)
