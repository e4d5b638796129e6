"""A site's private folder: its key, whom it trusts, and what code it lets run."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shared.audit.log import AuditLog
from shared.deployment.invitation import Invitation, parse_authority
from shared.deployment.keys import (
    PassphraseNeeded,
    generate_private_key,
    load_private_key,
    parse_public_key,
    private_key_bytes,
    public_key_line,
)
from shared.deployment.names import parse_address, to_address
from shared.errors import ConfigError, SiteError
from shared.files import (
    file_lock,
    is_private,
    make_private_folder,
    why_not_ours,
    write_private,
)
from shared.json_file import DamagedFile, parse_json, typed

VARIABLE = "FEDTHAW_SITE_HOME"


@dataclass(frozen=True)
class SiteHome:
    """A site's private folder; only its owner may enter it."""

    path: Path

    @property
    def key(self) -> Path:
        """The site's private key."""
        return self.path / "key"

    @property
    def public_key(self) -> Path:
        """The site's public key, for the coordinator."""
        return self.path / "key.pub"

    @property
    def next_key(self) -> Path:
        """The private key that is to replace `key`; there while the coordinator enters it."""
        return self.path / "key.next"

    @property
    def next_public_key(self) -> Path:
        """The public key of `next_key`, for the coordinator."""
        return self.path / "key.next.pub"

    @property
    def old_key(self) -> Path:
        """The private key that was replaced last."""
        return self.path / "key.old"

    @property
    def authority(self) -> Path:
        """The certificate of the coordinator's authority."""
        return self.path / "ca.crt"

    @property
    def settings(self) -> Path:
        """The coordinator's address, as `read_server` reads it."""
        return self.path / "federation.json"

    @property
    def approved(self) -> Path:
        """The code and settings that may run here."""
        return self.path / "approved.json"

    @property
    def pending(self) -> Path:
        """What the coordinator has asked for and nobody has approved."""
        return self.path / "pending.json"

    @property
    def quota(self) -> Path:
        """How much was answered, per day and in all."""
        return self.path / "quota.json"

    @property
    def kept(self) -> Path:
        """What the working process keeps for good: the one folder here that it needs."""
        return self.path / "kept"

    @property
    def bundles(self) -> Path:
        """Bundles that were received."""
        return self.path / "bundles"

    @property
    def audit(self) -> AuditLog:
        """What was asked of this site and what it sent."""
        return AuditLog(self.path / "audit.jsonl")

    @property
    def lock(self) -> Path:
        """Held by the site's process."""
        return self.path / ".lock"

    @property
    def edit_lock(self) -> Path:
        """Held by a command while it changes a file here."""
        return self.path / ".edit.lock"


def site_home(folder: Path) -> SiteHome:
    """The private folder of the site in `folder`: `federation` there, or FEDTHAW_SITE_HOME."""
    own = os.environ.get(VARIABLE)
    path = Path(own) if own else folder / "federation"
    return SiteHome(Path(os.path.abspath(os.path.expanduser(path))))


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
        return _create_key(home.key, home.public_key, name, passphrase)


def create_next_key(home: SiteHome, name: str, passphrase: bytes | None = None) -> bool:
    """Make the key that is to replace the site's; False where one waits for that already."""
    with file_lock(home.edit_lock):
        return _create_key(home.next_key, home.next_public_key, name, passphrase)


def promote_next_key(home: SiteHome) -> None:
    """Make the next key the site's key, and keep the one of before as `old_key`.

    Wherever it is cut off, `key` is one of the two, whole, and the next call goes on from there.
    Raises OSError.
    """
    with file_lock(home.edit_lock):
        line = home.next_public_key.read_bytes()
        write_private(home.old_key, home.key.read_bytes())
        write_private(home.public_key, line)
        os.replace(home.next_key, home.key)
        home.next_public_key.unlink()


def public_line(private: Path, public: Path, name: str) -> str:
    """The line of a key's public half; from its own file where the key has a passphrase.

    Raises SiteError where neither gives it.
    """
    try:
        return public_key_line(load_private_key(private), name)
    except PassphraseNeeded:
        try:
            return f"{parse_public_key(public.read_text(encoding='utf-8')).line} {name}"
        except (OSError, UnicodeDecodeError, ConfigError):
            raise SiteError(
                f"{public} is missing or damaged; make it again, with the key's passphrase: "
                f"ssh-keygen -y -f {private} > {public}"
            ) from None


def has_passphrase(key: Path) -> bool:
    """Whether a private key is encrypted; SiteError for what is no key."""
    try:
        load_private_key(key)
    except PassphraseNeeded:
        return True
    return False


def _create_key(private: Path, public: Path, name: str, passphrase: bytes | None) -> bool:
    made = not private.exists()
    if made:
        new = generate_private_key()
        # The public one first: where it stands alone, the next attempt replaces it.
        write_private(public, f"{public_key_line(new, name)}\n".encode())
        write_private(private, private_key_bytes(new, passphrase))
    else:
        write_private(public, f"{public_line(private, public, name)}\n".encode())
    return made


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
