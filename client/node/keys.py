"""A site's key and the one that is to replace it."""

from __future__ import annotations

import os
from pathlib import Path

from client.node.home import SiteHome
from shared.deployment.keys import (
    PassphraseNeeded,
    generate_private_key,
    load_private_key,
    parse_public_key,
    private_key_bytes,
    public_key_line,
)
from shared.errors import ConfigError, SiteError
from shared.storage.files import file_lock, write_private


def create_key(private: Path, public: Path, name: str, passphrase: bytes | None) -> bool:
    """Make a key pair at these places; False where the private key is there already.

    The public half is written in either case. Raises SiteError where nothing gives it.
    """
    made = not private.exists()
    if made:
        new = generate_private_key()
        # The public one first: where it stands alone, the next attempt replaces it.
        write_private(public, f"{public_key_line(new, name)}\n".encode())
        write_private(private, private_key_bytes(new, passphrase))
    else:
        write_private(public, f"{public_line(private, public, name)}\n".encode())
    return made


def create_next_key(home: SiteHome, name: str, passphrase: bytes | None = None) -> bool:
    """Make the key that is to replace the site's; False where one waits for that already."""
    with file_lock(home.edit_lock):
        return create_key(home.next_key, home.next_public_key, name, passphrase)


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
