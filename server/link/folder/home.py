"""The coordinator's folder: authority, certificate, settings, sites, runs; and who serves it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from server.link.folder.authority import checked_names, create_authority, issue_certificate
from shared.audit.log import AuditLog
from shared.deployment.invitation import Invitation, parse_authority
from shared.deployment.names import checked_site_name, to_address
from shared.errors import ConfigError
from shared.storage.files import (
    is_locked,
    is_private,
    lock_at_once,
    make_private_folder,
    why_not_ours,
    write_private,
)
from shared.storage.json_file import DamagedFile, read_json, typed


@dataclass(frozen=True)
class Home:
    """The coordinator's folder; only its owner may enter it."""

    path: Path

    @property
    def ca_certificate(self) -> Path:
        """The authority's certificate, which sites trust."""
        return self.path / "ca.crt"

    @property
    def ca_key(self) -> Path:
        """The authority's private key; needed to renew the server's certificate only."""
        return self.path / "ca.key"

    @property
    def certificate(self) -> Path:
        """The server's certificate."""
        return self.path / "server.crt"

    @property
    def key(self) -> Path:
        """The server's private key."""
        return self.path / "server.key"

    @property
    def settings(self) -> Path:
        """Names and port, as `read_settings` reads them."""
        return self.path / "server.json"

    @property
    def registry(self) -> Path:
        """Which public key is which site."""
        return self.path / "sites.json"

    @property
    def invitations(self) -> Path:
        """A file for each site that was invited."""
        return self.path / "invitations"

    @property
    def runs(self) -> Path:
        """The runs' folders."""
        return self.path / "runs"

    @property
    def flower(self) -> Path:
        """Flower's own home folder."""
        return self.path / "flower"

    @property
    def lock(self) -> Path:
        """Held by the server process."""
        return self.path / ".server.lock"

    @property
    def audit(self) -> AuditLog:
        """Who was admitted and connected, and what was ordered by whom."""
        return AuditLog(self.path / "audit.jsonl")

    @property
    def notify(self) -> Path:
        """Whom the server process tells of failed runs; may be missing."""
        return self.path / "notify.toml"

    @property
    def status(self) -> Path:
        """What the server process reports of itself."""
        return self.path / "status.json"


@dataclass(frozen=True)
class ServerSettings:
    """The names and port at which sites reach the server; invitations have the first name."""

    names: tuple[str, ...]
    port: int

    @property
    def address(self) -> str:
        """HOST:PORT by which sites reach it."""
        return to_address(self.names[0], self.port)


def create_home(path: Path, names: Sequence[str], port: int, days: int = 365) -> Home:
    """Make a coordinator's folder with an authority and a server certificate of so many days.

    Raises ConfigError for bad names, and where there is something at `path` already.
    """
    home = Home(Path(os.path.expanduser(path)).absolute())
    settings = ServerSettings(checked_names(names), _checked_port(port))
    if home.settings.exists():
        raise ConfigError(
            f"{path} is a coordinator's folder already; name another one, or renew its "
            f"certificate with `fedthaw server renew --home {path}`."
        )
    if home.path.exists() and (not home.path.is_dir() or any(home.path.iterdir())):
        raise ConfigError(f"{path} exists and is not empty; name a new folder.")
    if home.path.exists() and (reason := why_not_ours(home.path)):
        raise ConfigError(reason)
    make_private_folder(home.path)
    home.path.chmod(0o700)  # it may have been there, empty
    authority, authority_key = create_authority(f"FedThaw of {settings.names[0]}")
    write_private(home.ca_key, authority_key.encode("ascii"))
    write_private(home.ca_certificate, authority.encode("ascii"))
    renew_certificate(home, settings, days)  # writes the settings, which complete the folder
    return home


def open_home(path: Path) -> Home:
    """The coordinator's folder at `path`.

    Raises ConfigError where there is none, where it is another user's, and where others on this
    machine can enter it.
    """
    home = Home(Path(os.path.expanduser(path)).absolute())
    if home.path.is_dir() and (reason := why_not_ours(home.path)):
        raise ConfigError(reason)
    needed = (home.settings, home.ca_certificate, home.ca_key, home.certificate, home.key)
    if missing := [file.name for file in needed if not file.is_file()]:
        raise ConfigError(
            f"{path} is not a coordinator's folder (no {missing[0]} in it); make one with "
            f"`fedthaw server init {path} --name HOST`, or name another one with --home."
        )
    for exposed, mode in ((home.path, 700), (home.ca_key, 600), (home.key, 600)):
        if not is_private(exposed):
            raise ConfigError(
                f"{exposed} is open to others on this machine: chmod {mode} {exposed}"
            )
    return home


def read_settings(home: Home) -> ServerSettings:
    """The server's names and port; ConfigError where the file is damaged."""
    try:
        document = read_json(home.settings)
        settings = typed(document, ServerSettings)
        if document.keys() != {"names", "port"}:
            raise DamagedFile
        return ServerSettings(checked_names(settings.names), _checked_port(settings.port))
    except (DamagedFile, ConfigError):
        raise ConfigError(
            f"{home.settings} is damaged; it must be as in "
            '{"names": ["hub.example.org"], "port": 8443}.'
        ) from None


def renew_certificate(home: Home, settings: ServerSettings, days: int = 365) -> None:
    """A new server certificate from the same authority, for these settings, which are kept."""
    certificate, key = issue_certificate(
        home.ca_certificate.read_text(encoding="utf-8", errors="replace"),
        home.ca_key.read_text(encoding="utf-8", errors="replace"),
        settings.names,
        days,
    )
    write_private(home.key, key.encode("ascii"))
    write_private(home.certificate, certificate.encode("ascii"))
    write_private(home.settings, (json.dumps(asdict(settings), indent=1) + "\n").encode())


def write_invitation(home: Home, site: str) -> Path:
    """Write `invitations/SITE.json`.

    ConfigError for a name that no site may have, and where ca.crt is no authority's certificate.
    """
    text = home.ca_certificate.read_text(encoding="utf-8", errors="replace")
    address, authority = read_settings(home).address, parse_authority(text)
    invitation = Invitation(checked_site_name(site), address, authority)
    make_private_folder(home.invitations)
    file = home.invitations / f"{site}.json"
    write_private(file, invitation.to_text().encode())
    return file


def _checked_port(port: object) -> int:
    if type(port) is not int or not 0 < port < 2**16:
        raise ConfigError(f"The port is {port!r}; it must lie in 1 to 65535.")
    return port


_PATIENCE = 1.0
"""Seconds: commands that look whether it is served hold the lock for an instant."""


def only_one(home: Home) -> AbstractContextManager[None]:
    """Hold the folder; ConfigError where another process does."""
    refusal = ConfigError(f"Another process serves {home.path} already; stop it first.")
    return lock_at_once(home.lock, refusal, _PATIENCE)


def is_served(home: Home) -> bool:
    """Whether a server process works on this folder now."""
    return is_locked(home.lock)
