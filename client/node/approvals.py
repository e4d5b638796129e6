"""What a site's owner lets run: code by its digest, with the settings approved for it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from client.node.home import SiteHome
from shared.errors import SiteError
from shared.settings.run_plan import plan_number
from shared.settings.setting import Scalar
from shared.storage.files import file_lock, write_private
from shared.storage.json_file import DamagedFile, read_json, typed

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ANY: Literal["any within policy"] = "any within policy"


class _Entry(Struct, forbid_unknown_fields=True):
    """An approval as the file has it; an old one has no settings."""

    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    when: str
    note: str
    settings: dict[str, Scalar] | Literal["any within policy"] | UnsetType | None = UNSET


@dataclass(frozen=True)
class Approval:
    """A bundle's SHA-256 and the settings that it may run with."""

    bundle: str
    settings: Mapping[str, Scalar] | None
    """As `approved_settings` has them; None with `any_settings`, and in an old approval."""
    any_settings: bool
    when: str
    note: str

    @property
    def of_code_alone(self) -> bool:
        """Written by a version that asked for no approval of settings; nothing runs by it."""
        return self.settings is None and not self.any_settings

    @property
    def plan(self) -> str | None:
        """The number of the approved plan, None where it is not of one."""
        return None if self.settings is None else plan_number(self.bundle, self.settings)

    def covers(self, bundle: str, settings: Mapping[str, Scalar]) -> bool:
        """Whether this code may run with these settings."""
        return self.bundle == bundle and (self.any_settings or self.settings == dict(settings))


def read_approvals(home: SiteHome) -> tuple[Approval, ...]:
    """All approvals, the oldest first. Raises SiteError where the file is damaged."""
    try:
        return tuple(map(_approval, typed(read_json(home.approved), list[_Entry])))
    except FileNotFoundError:
        return ()
    except DamagedFile:
        raise SiteError(
            f"{home.approved} is damaged, so nothing may run here; remove it and approve again "
            "with `fedthaw site approve`."
        ) from None


def approve(
    home: SiteHome, bundle: str, settings: Mapping[str, Scalar] | None, note: str = ""
) -> bool:
    """Let a bundle run here with these settings, or with any (None); whether it could not before.

    `bundle` is its SHA-256 in hexadecimal digits of either case; SiteError for anything else.
    """
    digest = checked_digest(bundle)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new = Approval(
        digest, None if settings is None else dict(settings), settings is None, now, note
    )
    with file_lock(home.edit_lock):
        kept = read_approvals(home)
        same = [a for a in kept if a.bundle == digest and a.any_settings == new.any_settings]
        if any(a.settings == new.settings and not a.of_code_alone for a in same):
            return False
        _write(home, [*(a for a in kept if not (a.bundle == digest and a.of_code_alone)), new])
    return True


def revoke(home: SiteHome, number: str) -> int:
    """Take back every approval of a bundle, or that of a plan, by its number; how many these were.

    A plan's number may be cut to 12 digits or more. SiteError where nothing is approved by it.
    """
    wanted = number.lower()
    if not re.fullmatch(r"[0-9a-f]{12,64}", wanted):
        raise SiteError(
            f"{number!r} is neither a bundle's hash nor a plan; `fedthaw site approve FOLDER` "
            "lists what is approved."
        )
    with file_lock(home.edit_lock):
        approvals = read_approvals(home)
        kept = [a for a in approvals if not _is_meant(a, wanted)]
        if len(kept) == len(approvals):
            known = ", ".join(dict.fromkeys(a.plan or a.bundle for a in approvals)) or "none"
            raise SiteError(f"{number} is not approved here; approved are: {known}.")
        _write(home, kept)
    return len(approvals) - len(kept)


def checked_digest(digest: str) -> str:
    """A bundle's SHA-256 in lower case; SiteError where it is invalid."""
    lowered = digest.lower()
    if not _DIGEST.fullmatch(lowered):
        raise SiteError(
            f"{digest!r} is not the hash of a bundle; it must be the 64 hexadecimal digits that "
            "the coordinator names, or --installed for the fedthaw installed here."
        )
    return lowered


def _is_meant(approval: Approval, number: str) -> bool:
    is_plan = len(number) >= 12 and approval.plan is not None and approval.plan.startswith(number)
    return approval.bundle == number or is_plan


def _approval(entry: _Entry) -> Approval:
    settings = entry.settings if isinstance(entry.settings, dict) else None
    return Approval(entry.digest, settings, entry.settings == _ANY, entry.when, entry.note)


def _write(home: SiteHome, approvals: list[Approval]) -> None:
    entries: list[dict[str, Any]] = []
    for one in approvals:
        entry = {"digest": one.bundle, "when": one.when, "note": one.note}
        settings = _ANY if one.any_settings else one.settings
        entries.append(entry if one.of_code_alone else {**entry, "settings": settings})
    write_private(home.approved, (json.dumps(entries, indent=1) + "\n").encode())
