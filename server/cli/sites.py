"""`fedthaw server invite`, `register`, `sites` and `remove`: who may take part."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from server.cli.paths import COORDINATOR, HomeOption
from server.link.home import open_home, write_invitation
from server.link.journal import Event, note
from server.link.registry import RegisteredSite, read_registry
from server.link.registry import register as let_in
from server.link.registry import remove as let_out
from shared.deployment.keys import certificate_fingerprint, fingerprint
from shared.errors import ConfigError

LONGEST_FILE = 2**20
"""Bytes of a key file; a public key has under 300."""

Name = Annotated[str, typer.Argument(help="The site's name, as in its site.toml.")]


def invite(name: Name, home: HomeOption = COORDINATOR) -> None:
    """Write the file by which a site finds and trusts this server; it holds no secret.

    Example: fedthaw server invite north
    """
    opened = open_home(home)
    file = write_invitation(opened, name)
    note(opened, Event.invited, name=name)
    authority = certificate_fingerprint(opened.ca_certificate.read_text(encoding="ascii"))
    typer.echo(f"Invitation: {file}")
    typer.echo(f"Authority, to compare with {name} by telephone: {authority}")
    typer.echo(f"Next: send it to {name}, who runs")
    typer.echo(f"  fedthaw site init FOLDER --invitation {file.name}")
    typer.echo("and sends back its file key.pub. Then:")
    typer.echo(f"  fedthaw server register {name} key.pub --home {home}")


def register(
    name: Name,
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="The site's file key.pub, or the line in it.")
    ],
    home: HomeOption = COORDINATOR,
) -> None:
    """Let the site with this public key take part.

    Example: fedthaw server register north key.pub
    """
    opened = open_home(home)
    site = let_in(opened, name, _key_text(key))
    note(opened, Event.registered, name=site.name, key=fingerprint(site.key.line))
    typer.echo(f"Registered {site.name}. Its key, to compare with {site.name} by telephone:")
    typer.echo(fingerprint(site.key.line))


def remove(name: Name, home: HomeOption = COORDINATOR) -> None:
    """Let a site take part no longer.

    Example: fedthaw server remove north
    """
    opened = open_home(home)
    site = let_out(opened, name)
    note(opened, Event.removed, name=site.name, key=fingerprint(site.key.line))
    typer.echo(f"Removed {site.name}; its key {fingerprint(site.key.line)} is let in no longer.")


def sites(
    home: HomeOption = COORDINATOR,
    json_output: Annotated[bool, typer.Option("--json", help="Print the sites as JSON.")] = False,
) -> None:
    """List the sites that may take part.

    Example: fedthaw server sites --json
    """
    registered = read_registry(open_home(home))
    if json_output:
        typer.echo(json.dumps([_document(site) for site in registered], indent=1))
    elif not registered:
        typer.echo("No site is registered yet: fedthaw server register NAME key.pub")
    else:
        width = max(len("site"), *(len(site.name) for site in registered))
        typer.echo(f"{'site':{width}}  {'fingerprint':50}  since")
        for site in registered:
            typer.echo(f"{site.name:{width}}  {fingerprint(site.key.line)}  {site.since}")


def _document(site: RegisteredSite) -> dict[str, str]:
    return {
        "name": site.name,
        "fingerprint": fingerprint(site.key.line),
        "since": site.since,
        "key": site.key.line,
    }


def _key_text(argument: str) -> str:
    """The argument itself where it is a key, else what the file holds that it names."""
    if len(argument.split()) > 1 and argument.lstrip().startswith(("ecdsa-", "ssh-", "sk-")):
        return argument
    try:
        with Path(os.path.expanduser(argument)).open(encoding="utf-8") as file:
            return file.read(LONGEST_FILE)
    except UnicodeDecodeError:
        raise ConfigError(f"{argument} is no public key; give the site's file key.pub.") from None
    except OSError as error:
        raise ConfigError(
            f"The key file {argument} cannot be read ({error.strerror}); give the site's file "
            "key.pub, or the line in it in quotes."
        ) from None
