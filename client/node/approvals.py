"""Which code a site's owner lets run: bundles by their digest, and nothing else."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from client.node.home import SiteHome
from shared.errors import SiteError
from shared.files import file_lock, write_private

_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEYS = {"digest", "when", "note"}


def read_approvals(home: SiteHome) -> frozenset[str]:
    """The digests of the bundles that may run here, 64 lower-case hexadecimal digits each.

    None where nothing was approved. Raises SiteError where the file is damaged.
    """
    return frozenset(entry["digest"] for entry in _read(home))


def approve(home: SiteHome, digest: str, note: str = "") -> bool:
    """Let the bundle of this digest run here; whether it could not before. SiteError if it is none.

    `digest` is the bundle's SHA-256 in hexadecimal digits of either case.
    """
    wanted = _checked(digest)
    with file_lock(home.edit_lock):
        entries = _read(home)
        if any(entry["digest"] == wanted for entry in entries):
            return False
        now = datetime.now(UTC).isoformat(timespec="seconds")
        _write(home, [*entries, {"digest": wanted, "when": now, "note": note}])
    return True


def revoke(home: SiteHome, digest: str) -> None:
    """Let the bundle of this digest run here no longer; SiteError where it is not approved."""
    unwanted = _checked(digest)
    with file_lock(home.edit_lock):
        entries = _read(home)
        kept = [entry for entry in entries if entry["digest"] != unwanted]
        if len(kept) == len(entries):
            known = ", ".join(entry["digest"] for entry in entries) or "none"
            raise SiteError(f"{unwanted} is not approved here; approved are: {known}.")
        _write(home, kept)


def _checked(digest: str) -> str:
    lowered = digest.lower()
    if not _DIGEST.fullmatch(lowered):
        raise SiteError(
            f"{digest!r} is no hash of a bundle; it must be the 64 hexadecimal digits that the "
            "coordinator names, and that `fedthaw site approve FOLDER --installed` works out."
        )
    return lowered


def _read(home: SiteHome) -> list[dict[str, str]]:
    try:
        entries = json.loads(home.approved.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (ValueError, RecursionError):
        raise _damaged(home) from None
    if not isinstance(entries, list) or not all(map(_is_entry, entries)):
        raise _damaged(home)
    return entries


def _is_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == _KEYS
        and all(isinstance(value, str) for value in entry.values())
        and bool(_DIGEST.fullmatch(entry["digest"]))
    )


def _write(home: SiteHome, entries: list[dict[str, str]]) -> None:
    write_private(home.approved, (json.dumps(entries, indent=1) + "\n").encode())


def _damaged(home: SiteHome) -> SiteError:
    return SiteError(
        f"{home.approved} is damaged, so nothing may run here; remove it and approve anew with "
        "`fedthaw site approve`."
    )
