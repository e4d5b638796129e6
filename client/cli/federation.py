"""`fedthaw site init`, `key` and `renew-key`: this site's key, and which coordinator it trusts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from client.cli.passphrase import PassphraseFileOption, ask_passphrase
from client.cli.passphrase import passphrase_file as named_file
from client.node.enrolment import accept_invitation, create_site_home, open_site_home
from client.node.home import site_home
from client.node.keys import create_next_key, has_passphrase, public_line
from client.settings import read_site_name
from shared.deployment.invitation import Invitation, parse_authority, parse_invitation
from shared.deployment.keys import (
    certificate_fingerprint,
    fingerprint,
    load_private_key,
)
from shared.deployment.names import parse_address, to_address
from shared.errors import ConfigError, SiteError

PassphraseOption = Annotated[
    bool, typer.Option("--passphrase", help="Encrypt the new private key with a passphrase.")
]

LONGEST_FILE = 2**20
"""Bytes of an invitation or certificate; they have a few thousand."""


def init(
    folder: Annotated[Path, typer.Argument(help="The site's folder, with its site.toml.")],
    invitation: Annotated[
        Path | None, typer.Option(help="The file that the coordinator sent.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(help="Without an invitation: the coordinator's HOST:PORT.", metavar="ADDRESS"),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="Without an invitation: the coordinator's ca.crt.")
    ] = None,
    passphrase: PassphraseOption = False,
    passphrase_file: PassphraseFileOption = None,
) -> None:
    """Make this site's key, and keep the coordinator's address and authority.

    Example: fedthaw site init hospitals/north --invitation north.json

    The private key stays in the folder `federation` of the site's folder, or in that of the
    environment variable FEDTHAW_SITE_HOME. An existing key is never replaced.
    """
    name = read_site_name(folder)
    invited = _invitation(name, invitation, server, ca)
    if invited and invited.site != name:
        raise SiteError(
            f"The invitation is for the site {invited.site}, but site.toml in {folder} names this "
            f"one {name}; ask for an invitation for {name}, or change the name in site.toml."
        )
    home = site_home(folder)
    secret = _passphrase_of_new(home.key, passphrase or passphrase_file is not None,
                                passphrase_file)  # fmt: skip
    made = create_site_home(home, name, secret)
    typer.echo(
        f"Made a private key: {home.key}. It never leaves this machine."
        if made
        else f"Kept the existing private key: {home.key}"
    )
    _tell_public_key(home.public_key)
    if invited:
        accept_invitation(home, invited)
        typer.echo(f"Coordinator: {invited.server}")
        typer.echo(f"Its authority: {certificate_fingerprint(invited.ca)}")
    typer.echo(
        f"Next: send {home.public_key} to the coordinator, and compare the fingerprints of "
        f"{'key and authority' if invited else 'the key'} by telephone."
    )
    if not invited:
        typer.echo(f"Then: fedthaw site init {folder} --invitation FILE, with the file it sends.")


def key(
    folder: Annotated[Path, typer.Argument(help="The site's folder, with its site.toml.")],
) -> None:
    """Print this site's public key and its fingerprint.

    Example: fedthaw site key hospitals/north
    """
    name = read_site_name(folder)
    home = open_site_home(site_home(folder), joined=False)
    line = public_line(home.key, home.public_key, name)
    typer.echo(line)
    typer.echo(fingerprint(line))
    if home.next_key.exists():
        following = public_line(home.next_key, home.next_public_key, name)
        typer.echo("The next key, which replaces it once the coordinator has registered it:")
        typer.echo(following)
        typer.echo(fingerprint(following))


def renew_key(
    folder: Annotated[Path, typer.Argument(help="The site's folder, with its site.toml.")],
    passphrase: PassphraseOption = False,
    passphrase_file: PassphraseFileOption = None,
) -> None:
    """Make a new key to replace this site's present one.

    Example: fedthaw site renew-key hospitals/north

    The present key stays in use until the coordinator has registered the new one. Where it has a
    passphrase, the new one has the same.
    """
    name = read_site_name(folder)
    home = open_site_home(site_home(folder), joined=False)
    file = named_file(passphrase_file)
    secret = None
    if has_passphrase(home.key) and not home.next_key.exists():
        secret = ask_passphrase(file, home.key)
        load_private_key(home.key, secret)
    else:
        wanted = passphrase or passphrase_file is not None
        secret = _passphrase_of_new(home.next_key, wanted, file)
    made = create_next_key(home, name, secret)
    what = "Made a new private key" if made else "Kept the new private key that waits already"
    typer.echo(f"{what}: {home.next_key}. It never leaves this machine.")
    _tell_public_key(home.next_public_key)
    typer.echo(
        f"Next: send {home.next_public_key} to the coordinator, and compare the fingerprint by "
        "telephone. The coordinator enters it with"
    )
    typer.echo(f"  fedthaw server register {name} {home.next_public_key.name} --renew")
    typer.echo("`fedthaw site run` then changes over to it by itself, within an hour.")


def _passphrase_of_new(key: Path, wanted: bool, file: Path | None) -> bytes | None:
    """The passphrase for a key that is about to be made; None for none, or where one is there.

    Raises SiteError where a passphrase is wanted for a key that is there without.
    """
    if not wanted:
        return None
    if not key.exists():
        return ask_passphrase(named_file(file), key, new=True)
    if not has_passphrase(key):
        raise SiteError(
            f"The private key {key} already exists, without a passphrase; ssh-keygen -p -f {key} "
            "gives it one."
        )
    return None


def _tell_public_key(file: Path) -> None:
    typer.echo(f"Public key: {file}")
    typer.echo(f"Its fingerprint: {fingerprint(file.read_text(encoding='utf-8'))}")


def _invitation(
    name: str, file: Path | None, server: str | None, ca: Path | None
) -> Invitation | None:
    """What the options say, None where they say nothing yet."""
    if file is not None and (server or ca):
        raise ConfigError("Give either --invitation FILE or --server with --ca, not both.")
    if file is not None:
        return parse_invitation(_read(file))
    if server and ca:
        return Invitation(name, to_address(*parse_address(server)), parse_authority(_read(ca)))
    if server or ca:
        raise ConfigError("Give --server HOST:PORT and --ca ca.crt together, or --invitation FILE.")
    return None


def _read(file: Path) -> str:
    try:
        with Path(os.path.expanduser(file)).open(encoding="utf-8") as handle:
            return handle.read(LONGEST_FILE)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror}); name another file.") from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"{file} is not a text file; name the file that the coordinator sent."
        ) from None
