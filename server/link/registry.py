"""Which public key is which site: what decides who may take part."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from server.link.home import Home
from shared.deployment.keys import PublicKey, parse_public_key
from shared.deployment.names import checked_site_name, is_site_name
from shared.errors import ConfigError
from shared.files import file_lock, write_private
from shared.json_file import DamagedFile, fitting, read_json


@dataclass(frozen=True)
class RegisteredSite:
    """A site that may take part. `since` is UTC in ISO 8601."""

    name: str
    key: PublicKey
    since: str


def read_registry(home: Home) -> tuple[RegisteredSite, ...]:
    """The registered sites in the order of their names; ConfigError where the file is damaged."""
    try:
        with fitting():
            sites = tuple(_site(entry) for entry in read_json(home.registry))
    except FileNotFoundError:
        return ()
    except (DamagedFile, ConfigError):
        raise _damaged(home) from None
    names, keys = ({site.name for site in sites}, {site.key for site in sites})
    if not len(names) == len(keys) == len(sites):
        raise _damaged(home)
    return sites


def register(home: Home, name: str, key_text: str) -> RegisteredSite:
    """Let the site with this public key in, under this name. Again the same changes nothing.

    Raises ConfigError for a bad name or key, for a name that has another key, and for a key that
    has another name, be it here or in the key's own line.
    """
    new = RegisteredSite(checked_site_name(name), parse_public_key(key_text), _now())
    _require_same_name(name, key_text)
    with file_lock(_lock(home)):
        sites = read_registry(home)
        for site in sites:
            if (site.name, site.key) == (new.name, new.key):
                return site
            if site.name == new.name:
                raise ConfigError(
                    f"{name} is registered with another key since {site.since}; if the site has a "
                    f"new one, remove the old first: fedthaw server remove {name}"
                )
            if site.key == new.key:
                raise ConfigError(
                    f"This key is registered as {site.name} already; a site has one name, so "
                    f"remove that first: fedthaw server remove {site.name}"
                )
        _write(home, (*sites, new))
    return new


def _require_same_name(name: str, key_text: str) -> None:
    """ConfigError where the key's line, as `fedthaw site init` writes it, is another site's."""
    named = " ".join(key_text.split()[2:])
    if is_site_name(named) and named != name:
        raise ConfigError(
            f"This is the key of the site {named}, as its line says, not of {name}; register it as "
            f"{named}, or ask {name} for its own key.pub."
        )


def remove(home: Home, name: str) -> RegisteredSite:
    """Let a site in no longer; ConfigError where none is registered under this name."""
    with file_lock(_lock(home)):
        sites = read_registry(home)
        removed = next((site for site in sites if site.name == name), None)
        if removed is None:
            names = [site.name for site in sites]
            close = difflib.get_close_matches(name, names, n=1)
            known = f"registered are {', '.join(names)}." if names else "none is registered."
            raise ConfigError(
                f"No site is registered as {name!r}; "
                + (f"did you mean {close[0]}?" if close else known)
            )
        _write(home, [site for site in sites if site is not removed])
    return removed


def name_of_key(sites: Sequence[RegisteredSite], raw: bytes) -> str | None:
    """The name of the site with this key, in Flower's form of it, else None."""
    return next((site.name for site in sites if site.key.raw == raw), None)


def _site(entry: dict[str, str]) -> RegisteredSite:
    if entry.keys() != {"name", "key", "since"} or not isinstance(entry["since"], str):
        raise ValueError
    return RegisteredSite(
        checked_site_name(entry["name"]), parse_public_key(entry["key"]), entry["since"]
    )


def _write(home: Home, sites: Sequence[RegisteredSite]) -> None:
    entries = [
        {"name": site.name, "key": site.key.line, "since": site.since}
        for site in sorted(sites, key=lambda site: site.name)
    ]
    write_private(home.registry, (json.dumps(entries, indent=1) + "\n").encode())


def _lock(home: Home) -> Path:
    # The registry itself is replaced at each change, so it cannot be what is locked.
    return home.path / ".sites.lock"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _damaged(home: Home) -> ConfigError:
    return ConfigError(
        f"{home.registry} is damaged, so no site can be let in; put a copy of it back, or remove "
        "it and register the sites anew."
    )
