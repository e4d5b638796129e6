"""A site's private folder is made, keeps the coordinator that it joins, and is opened."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from client.node.home import VARIABLE, SiteHome
from client.node.keys import create_key
from shared.deployment.invitation import Invitation, parse_authority
from shared.deployment.keys import PassphraseNeeded, load_private_key
from shared.deployment.names import parse_address, to_address
from shared.errors import ConfigError, SiteError
from shared.storage.files import (
    file_lock,
    is_private,
    make_private_folder,
    why_not_ours,
    write_private,
)
from shared.storage.json_file import DamagedFile, parse_json, typed


def create_site_home(home: SiteHome, name: str, passphrase: bytes | None = None) -> bool:
    """Make the folder and the key of the site of this name; whether a new key was made.

    A passphrase encrypts a new key; one that is there is never replaced. Raises SiteError where it
    or the folder is open to others or another user's, and where the folder cannot be made.
    """
    try:
        make_private_folder(home.path)
    except OSError as error:
        raise SiteError(
            f"The folder {home.path} for this site's key cannot be made ({error.strerror}); where "
            f"the site's folder is read-only, set {VARIABLE} to another place."
        ) from error
    _require_private(home)
    with file_lock(home.edit_lock):
        return create_key(home.key, home.public_key, name, passphrase)


def accept_invitation(home: SiteHome, invitation: Invitation) -> None:
    """Keep the coordinator's address and authority, in place of those kept before."""
    with file_lock(home.edit_lock):
        write_private(home.authority, invitation.ca.encode("ascii"))
        document = json.dumps({"server": invitation.server})
        write_private(home.settings, f"{document}\n".encode())


def open_site_home(home: SiteHome, *, joined: bool = True) -> SiteHome:
    """The same home, checked: it and its key are there, this user's, and open to nobody else.

    `joined` asks for a coordinator's address and authority too. Raises SiteError.
    """
    if not home.path.is_dir():
        raise SiteError(
            f"There is no folder {home.path} with this site's key; make it with "
            "`fedthaw site init FOLDER --invitation FILE`."
        )
    _require_private(home)
    with suppress(PassphraseNeeded):
        load_private_key(home.key)
    if joined:
        read_server(home)
        read_authority(home)
    return home


def read_server(home: SiteHome) -> str:
    """The coordinator's HOST:PORT; SiteError where there is none or the file is damaged."""
    try:
        document = typed(parse_json(_read(home, home.settings)), dict[str, str])
        if document.keys() != {"server"}:
            raise DamagedFile
        return to_address(*parse_address(document["server"]))
    except (DamagedFile, ConfigError):
        raise _damaged(home.settings) from None


def read_authority(home: SiteHome) -> str:
    """The authority's certificate as PEM; SiteError where there is none or it is damaged."""
    try:
        return parse_authority(_read(home, home.authority))
    except ConfigError:
        raise _damaged(home.authority) from None


def _read(home: SiteHome, file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise _damaged(file) from None
    except FileNotFoundError:
        raise SiteError(
            f"{home.path} knows no coordinator yet; `fedthaw site init FOLDER --invitation FILE` "
            "with the file that the coordinator sent."
        ) from None


def _damaged(file: Path) -> SiteError:
    return SiteError(
        f"{file} is damaged; `fedthaw site init FOLDER --invitation FILE` rewrites it and keeps "
        "the key."
    )


def _require_private(home: SiteHome) -> None:
    if reason := why_not_ours(home.path):
        raise SiteError(reason)
    if not is_private(home.path):
        raise SiteError(f"{home.path} is open to others on this machine: chmod 700 {home.path}")
