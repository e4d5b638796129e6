"""`fedthaw server invite`, `register`, `sites` and `remove`: who may take part."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from server.cli.options import COORDINATOR, HomeOption
from server.link.folder.expiry import key_warnings
from server.link.folder.home import open_home, write_invitation
from server.link.folder.journal import Event, note
from server.link.folder.registry import (
    KEY_DAYS,
    MOST_KEY_DAYS,
    MOST_OVERLAP_DAYS,
    OVERLAP_DAYS,
    RegisteredSite,
    end_date,
    read_registry,
    renew_key,
)
from server.link.folder.registry import register as register_key
from server.link.folder.registry import remove as let_out
from shared.deployment.keys import certificate_fingerprint, fingerprint
from shared.errors import ConfigError

LONGEST_FILE = 2**20
"""Bytes of a key file; a public key has under 300."""

Name = Annotated[str, typer.Argument(help="The site's name, as in its site.toml.")]


def invite(name: Name, home: HomeOption = COORDINATOR) -> None:
    """Write the file with which a site finds and trusts this server; it holds no secret.

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
    days: Annotated[
        int, typer.Option(min=1, max=MOST_KEY_DAYS, help="How long the key is valid, in days.")
    ] = KEY_DAYS,
    renew: Annotated[
        bool, typer.Option("--renew", help="Add a registered site's new key, next to its old one.")
    ] = False,
    overlap_days: Annotated[
        int | None,
        typer.Option(
            min=0, max=MOST_OVERLAP_DAYS,
            help=f"With --renew: how long the old key stays valid, in days ({OVERLAP_DAYS}).",
        ),
    ] = None,
    home: HomeOption = COORDINATOR,
) -> None:  # fmt: skip
    """Register a site's public key, so that it may take part.

    Example: fedthaw server register north key.pub

    With --renew, a registered site's new key; the site changes over to it by itself before its old
    one expires. With --renew and the key that the site already has, that key is extended.
    """
    if overlap_days is not None and not renew:
        raise ConfigError("--overlap-days is for --renew; add that, or leave it out.")
    opened, text = open_home(home), _key_text(key)
    if renew:
        overlap = OVERLAP_DAYS if overlap_days is None else overlap_days
        site, others = renew_key(opened, name, text, days, overlap)
    else:
        site, others = register_key(opened, name, text, days), ()
    key_of_site, end = fingerprint(site.key.line), end_date(site)
    if renew:
        old = ", ".join(f"{fingerprint(one.key.line)} until {end_date(one)}" for one in others)
        note(opened, Event.key_renewed, name=site.name, key=key_of_site, until=end, old=old)
    else:
        note(opened, Event.registered, name=site.name, key=key_of_site, until=end)
    typer.echo(f"Registered {site.name}. {_valid(site)}")
    for one in others:
        typer.echo(f"Its old key {fingerprint(one.key.line)} is valid until {end_date(one)}.")
    if renew and not others:
        typer.echo("No other key of it is valid.")
    typer.echo(f"Its key, to compare with {site.name} by telephone:")
    typer.echo(key_of_site)


def remove(name: Name, home: HomeOption = COORDINATOR) -> None:
    """Remove a site from the federation.

    Example: fedthaw server remove north
    """
    opened = open_home(home)
    for site in let_out(opened, name):
        note(opened, Event.removed, name=site.name, key=fingerprint(site.key.line))
        typer.echo(
            f"Removed {site.name}; its key {fingerprint(site.key.line)} is no longer accepted."
        )


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
        typer.echo(f"{'site':{width}}  {'fingerprint':50}  {'since':25}  until")
        now = datetime.now(UTC)
        for site in registered:
            end = end_date(site) if site.is_valid(now) else f"{end_date(site)} (expired)"
            typer.echo(f"{site.name:{width}}  {fingerprint(site.key.line)}  {site.since:25}  {end}")
        for warning in key_warnings(registered, now):
            typer.echo(warning, err=True)


def _valid(site: RegisteredSite) -> str:
    return f"Its key is valid until {end_date(site)}." if site.until else "Its key does not expire."


def _document(site: RegisteredSite) -> dict[str, str | None]:
    return {
        "name": site.name,
        "fingerprint": fingerprint(site.key.line),
        "since": site.since,
        "until": site.until.isoformat(timespec="seconds") if site.until else None,
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
        raise ConfigError(
            f"{argument} is not a public key; give the site's file key.pub."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"The key file {argument} cannot be read ({error.strerror}); give the site's file "
            "key.pub, or the line in it in quotes."
        ) from None
