"""`fedthaw server init` and `renew`: the coordinator's folder and its certificates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from server.cli.options import COORDINATOR, HomeOption
from server.link.folder.authority import checked_names, names_of, remaining_days
from server.link.folder.home import Home, create_home, open_home, read_settings, renew_certificate
from server.link.folder.journal import Event, note
from server.run.process import HOME_VARIABLE
from shared.deployment.keys import certificate_fingerprint

Days = Annotated[
    int, typer.Option(min=1, max=3650, help="How long the server's certificate is valid, in days.")
]


def init(
    name: Annotated[
        list[str],
        typer.Option(
            help="DNS name or IP address by which sites reach the server; may be repeated, and "
            "the first one goes into invitations."
        ),
    ],
    path: Annotated[
        Path, typer.Argument(envvar=HOME_VARIABLE, help="The folder to make.")
    ] = COORDINATOR,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port that sites use.")] = 8443,
    days: Days = 365,
) -> None:
    """Make the coordinator's folder with its keys and certificates.

    Example: fedthaw server init coordinator --name hub.example.org
    """
    home = create_home(path, name, port, days)
    typer.echo(f"Made the coordinator's folder {home.path}; keep it private and keep a copy.")
    typer.echo(f"Server address for sites: {read_settings(home).address}")
    _tell_certificate(home)
    authority = certificate_fingerprint(home.ca_certificate.read_text(encoding="ascii"))
    typer.echo(f"Authority: {authority}")
    typer.echo(f"Next: fedthaw server invite SITE --home {path}")


def renew(
    home: HomeOption = COORDINATOR,
    name: Annotated[
        list[str] | None,
        typer.Option(help="New names instead of the present ones; may be repeated."),
    ] = None,
    days: Days = 365,
) -> None:
    """Make a new server certificate by the same authority; sites need do nothing.

    Example: fedthaw server renew --home coordinator
    """
    opened = open_home(home)
    before = read_settings(opened)
    settings = replace(before, names=checked_names(name)) if name else before
    renew_certificate(opened, settings, days)
    note(opened, Event.renewed, names=", ".join(settings.names), days=days)
    typer.echo("Renewed the server's certificate; a running server takes it up by itself.")
    _tell_certificate(opened)
    valid = names_of(opened.certificate.read_text(encoding="ascii"))  # this machine's own, too
    if dropped := [one for one in before.names if one not in valid]:
        typer.echo(
            f"Sites that reach it as {' or '.join(dropped)} need a new invitation: "
            f"fedthaw server invite SITE --home {home}"
        )


def _tell_certificate(home: Home) -> None:
    certificate = home.certificate.read_text(encoding="ascii")
    typer.echo(
        f"Server certificate: for {', '.join(names_of(certificate))}; valid for "
        f"{remaining_days(certificate):.0f} days"
    )
