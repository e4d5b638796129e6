"""Runs that a coordinator has asked for and that nobody has approved here yet."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from client.node.approvals import read_approvals
from client.node.home import SiteHome
from shared.errors import ConfigError, SiteError
from shared.settings.config import RunConfig
from shared.settings.parse import parse_run_config
from shared.settings.run_plan import SHOWN_DIGITS, WEIGHTS_FILE, approved_settings, plan_number
from shared.settings.setting import Scalar
from shared.storage.files import file_lock, write_private
from shared.storage.json_file import DamagedFile, read_json, typed

MOST = 100
"""Kept, the latest ones: a coordinator could ask for ever more."""
_NAMED = 5
"""Plans that a sentence names."""


class _Entry(TypedDict):
    plan: str
    bundle: str
    settings: dict[str, Scalar]
    when: str


@dataclass(frozen=True)
class Pending:
    """Code and settings that wait for their owner's decision."""

    bundle: str
    config: RunConfig
    when: str
    """First asked for, UTC."""

    @property
    def settings(self) -> dict[str, Scalar]:
        """What would be approved."""
        return approved_settings(self.config)

    @property
    def plan(self) -> str:
        """The plan's number."""
        return plan_number(self.bundle, self.settings)


class NotApproved(SiteError):
    """The site's owner has not approved this code with these settings."""


def require_approved(home: SiteHome, bundle: str, config: RunConfig, folder: Path | None) -> None:
    """NotApproved where the owner has not approved this code with these settings.

    The plan is kept for `fedthaw site approve`; `folder` is the site's, for that command.
    """
    settings = approved_settings(config)
    approvals = read_approvals(home)
    if any(one.covers(bundle, settings) for one in approvals):
        return
    plan = plan_number(bundle, settings)
    _keep(home, bundle, settings, plan)
    own = [one for one in approvals if one.bundle == bundle]
    if not own:
        what = "its code is not approved here"
    elif all(one.of_code_alone for one in own):
        what = (
            "its code was approved before approvals were of settings too, so its settings are not "
            "approved here"
        )
    else:
        what = "its code is approved here, but not with these settings"
    short = plan[:SHOWN_DIGITS]
    command = f"fedthaw site approve {shlex.quote(str(folder)) if folder else 'FOLDER'}"
    raise NotApproved(
        f"The coordinator asks for plan {short} (bundle {bundle}): {what}. To see what it does: "
        f"`{command}`. To approve it: `{command} {short}`",
        shareable=(
            f"its owner has not approved plan {short} (bundle {bundle} with these settings); "
            f"`fedthaw site approve FOLDER {short}` there allows it"
        ),
    )


def read_pending(home: SiteHome) -> list[Pending]:
    """What waits, the oldest first; what cannot be read any more is passed over."""
    found = []
    for entry in _read(home.pending):
        with suppress(KeyError, ConfigError):  # of another version
            found.append(Pending(entry["bundle"], _config(entry["settings"]), entry["when"]))
    return found


def undecided(home: SiteHome) -> list[Pending]:
    """What waits and is not covered by an approval that was given since, the oldest first."""
    approvals = read_approvals(home)
    return [
        one
        for one in read_pending(home)
        if not any(approval.covers(one.bundle, one.settings) for approval in approvals)
    ]


def what_waits(home: SiteHome, folder: Path) -> str:
    """Which plans the owner has to decide on, in a sentence with the command; empty for none."""
    plans = [one.plan[:SHOWN_DIGITS] for one in undecided(home)]
    if not plans:
        return ""
    command = f"fedthaw site approve {shlex.quote(str(folder))}"
    named = ", ".join(plans[:_NAMED])
    named += f" and {len(plans) - _NAMED} more" if len(plans) > _NAMED else ""
    begin = "A plan waits" if len(plans) == 1 else f"{len(plans)} plans wait"
    return (
        f"{begin} for approval: {named}. To see what it does: `{command}`. To approve it: "
        f"`{command} {plans[0]}`"
        if len(plans) == 1
        else f"{begin} for approval: {named}. To see what they do: `{command}`. To approve one: "
        f"`{command} PLAN`"
    )


def find_pending(home: SiteHome, number: str) -> Pending | None:
    """The one waiting plan whose number begins so, None where there is none or several."""
    found = [one for one in read_pending(home) if one.plan.startswith(number.lower())]
    return found[0] if len(found) == 1 and len(number) >= SHOWN_DIGITS else None


def forget_pending(home: SiteHome, plan: str) -> None:
    """Remove a plan from those that wait: it was decided on."""
    with file_lock(home.edit_lock):
        left = [one for one in _read(home.pending) if one["plan"] != plan]
        _write(home.pending, left)


def _keep(home: SiteHome, bundle: str, settings: Mapping[str, Scalar], plan: str) -> None:
    with file_lock(home.edit_lock):
        entries = _read(home.pending)
        if any(one["plan"] == plan for one in entries):
            return
        now = datetime.now(UTC).isoformat(timespec="seconds")
        new = _Entry(plan=plan, bundle=bundle, settings=dict(settings), when=now)
        _write(home.pending, [*entries, new][-MOST:])


def _config(settings: Mapping[str, Scalar]) -> RunConfig:
    weights = settings["weights"]
    named = {"weights": "file.safetensors"} if weights == WEIGHTS_FILE else {}
    return parse_run_config({**settings, **named})


def _read(path: Path) -> list[_Entry]:
    """Entries; none where the file is damaged: the coordinator asks again."""
    found: list[_Entry] = []
    with suppress(OSError, DamagedFile):
        for entry in typed(read_json(path), list[object]):
            with suppress(DamagedFile):
                found.append(typed(entry, _Entry))
    return found


def _write(path: Path, entries: list[_Entry]) -> None:
    write_private(path, (json.dumps(entries, indent=1) + "\n").encode())
