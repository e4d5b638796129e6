"""Which public key is which site: what decides who may take part."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from server.link.folder.home import Home
from shared.deployment.keys import PublicKey, parse_public_key
from shared.deployment.names import checked_site_name, is_site_name
from shared.errors import ConfigError
from shared.storage.files import file_lock, write_private
from shared.storage.json_file import DamagedFile, fitting, read_json, typed

KEY_DAYS = 730
"""For so long a key is valid unless `register` says otherwise."""
MOST_KEY_DAYS = 3650
OVERLAP_DAYS = 30
"""How long the old key of a site stays valid next to its new one."""
MOST_OVERLAP_DAYS = 365


class _Entry(Struct, forbid_unknown_fields=True):
    """A key as the file has it."""

    name: str
    key: str
    since: str
    until: Annotated[datetime, Meta(tz=True)] | UnsetType = UNSET


@dataclass(frozen=True)
class RegisteredSite:
    """A site that may take part, with one of its keys. `since` is UTC in ISO 8601."""

    name: str
    key: PublicKey
    since: str
    until: datetime | None = None
    """When the key ends; None for a key that was registered without an end date."""

    def is_valid(self, at: datetime) -> bool:
        """Whether the key admits the site at this moment."""
        return self.until is None or at < self.until


def end_date(site: RegisteredSite) -> str:
    """The day, in UTC, on which the site's key ends."""
    return site.until.strftime("%Y-%m-%d") if site.until else "no end date"


def read_registry(home: Home) -> tuple[RegisteredSite, ...]:
    """The registered sites in the order of their names, a site's newest key last.

    A site has several keys while one replaces another; all but one of them have an end date then.
    Keys that have ended are among them. Raises ConfigError where the file is damaged.
    """
    try:
        with fitting():
            sites = tuple(map(_site, typed(read_json(home.registry), list[_Entry])))
    except FileNotFoundError:
        return ()
    except (DamagedFile, ConfigError):
        raise _damaged(home) from None
    endless = Counter(site.name for site in sites if site.until is None)
    if len({site.key for site in sites}) < len(sites) or any(n > 1 for n in endless.values()):
        raise _damaged(home)
    return sites


def valid_sites(sites: Sequence[RegisteredSite], at: datetime) -> tuple[RegisteredSite, ...]:
    """The sites whose key admits them at this moment."""
    return tuple(site for site in sites if site.is_valid(at))


def names_by_key(sites: Sequence[RegisteredSite]) -> Mapping[bytes, str]:
    """Each site's name by Flower's form of its key; of a site's keys the one to last comes last."""
    ends = datetime.max.replace(tzinfo=UTC)
    return {one.key.raw: one.name for one in sorted(sites, key=lambda one: one.until or ends)}


def register(home: Home, name: str, key_text: str, days: int = KEY_DAYS) -> RegisteredSite:
    """Let the site with this public key in for so many days. Again the same changes nothing.

    Raises ConfigError for a bad name or key, for a name that has another key, and for a key that
    has another name, be it here or in the key's own line.
    """
    new = _entry(name, key_text, days)
    with file_lock(_lock(home)):
        sites = read_registry(home)
        _require_free(new, sites)
        same = [site for site in sites if site.name == name]
        for site in same:
            if site.key == new.key and site.is_valid(datetime.now(UTC)):
                return site
            if site.key == new.key:
                raise ConfigError(
                    f"This key of {name} expired on {end_date(site)}; add --renew to extend "
                    "it, or ask the site for a new key: fedthaw site renew-key"
                )
        if same:
            raise ConfigError(
                f"{name} is registered with another key since {same[-1].since}; if the site has a "
                f"new one, add --renew, or remove the old first: fedthaw server remove {name}"
            )
        _write(home, (*sites, new))
    return new


def renew_key(
    home: Home, name: str, key_text: str, days: int = KEY_DAYS, overlap_days: int = OVERLAP_DAYS
) -> tuple[RegisteredSite, tuple[RegisteredSite, ...]]:
    """Let a registered site in with this key too, and with those of before for the overlap only.

    With a key that the site has already, that key gets a new end date. Returns the site with the
    new key, and with those of before that are still valid. Raises ConfigError as `register` does,
    and for a site that is not registered yet.
    """
    new = _entry(name, key_text, days)
    now = datetime.now(UTC)
    end = _in_days(overlap_days)
    with file_lock(_lock(home)):
        sites = read_registry(home)
        _require_free(new, sites)
        if all(site.name != name for site in sites):
            raise ConfigError(
                f"{name} has no key yet that could be renewed; register it without --renew. "
                + _registered(name, sites)
            )
        others = [site for site in sites if site.name == name and site.key != new.key]
        shortened = [replace(site, until=min(site.until or end, end)) for site in others]
        old = valid_sites(shortened, now)
        _write(home, (*(site for site in sites if site.name != name), *old, new))
    return new, old


def _entry(name: str, key_text: str, days: int) -> RegisteredSite:
    checked, key = checked_site_name(name), parse_public_key(key_text)
    _require_same_name(name, key_text)
    return RegisteredSite(checked, key, _now(), _in_days(days))


def _require_free(new: RegisteredSite, sites: Sequence[RegisteredSite]) -> None:
    """ConfigError where another site has this key."""
    for site in sites:
        if site.key == new.key and site.name != new.name:
            raise ConfigError(
                f"This key is registered as {site.name} already; a site has one name, so "
                f"remove that first: fedthaw server remove {site.name}"
            )


def _require_same_name(name: str, key_text: str) -> None:
    """ConfigError where the key's line, as `fedthaw site init` writes it, is another site's."""
    named = " ".join(key_text.split()[2:])
    if is_site_name(named) and named != name:
        raise ConfigError(
            f"This is the key of the site {named}, as its line says, not of {name}; register it as "
            f"{named}, or ask {name} for its own key.pub."
        )


def remove(home: Home, name: str) -> tuple[RegisteredSite, ...]:
    """Let a site in no longer, with any of its keys; ConfigError for a name that has none."""
    with file_lock(_lock(home)):
        sites = read_registry(home)
        removed = tuple(site for site in sites if site.name == name)
        if not removed:
            raise ConfigError(_registered(name, sites))
        _write(home, [site for site in sites if site not in removed])
    return removed


def _registered(name: str, sites: Sequence[RegisteredSite]) -> str:
    """That no site has this name, and which one may be meant."""
    names = list(dict.fromkeys(site.name for site in sites))
    close = difflib.get_close_matches(name, names, n=1)
    known = f"registered are {', '.join(names)}." if names else "none is registered."
    return f"No site is registered as {name!r}; " + (
        f"did you mean {close[0]}?" if close else known
    )


def _site(entry: _Entry) -> RegisteredSite:
    until = None if entry.until is UNSET else entry.until.astimezone(UTC)
    return RegisteredSite(
        checked_site_name(entry.name), parse_public_key(entry.key), entry.since, until
    )


def _write(home: Home, sites: Sequence[RegisteredSite]) -> None:
    entries = [
        {"name": site.name, "key": site.key.line, "since": site.since}
        | ({"until": site.until.isoformat(timespec="seconds")} if site.until else {})
        for site in sorted(sites, key=lambda site: site.name)
    ]
    write_private(home.registry, (json.dumps(entries, indent=1) + "\n").encode())


def _lock(home: Home) -> Path:
    # The registry itself is replaced at each change, so it cannot be what is locked.
    return home.path / ".sites.lock"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _in_days(days: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)


def _damaged(home: Home) -> ConfigError:
    return ConfigError(
        f"{home.registry} is damaged, so no site can connect; restore a copy of it, or remove "
        "it and register the sites again."
    )
