"""How much a site has worked for its coordinator: counted on its disk before it works.

A message is charged before anything is computed for it, so neither a crash nor a restart gives one
for nothing. A day is one of UTC; a clock that is set back begins no new one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta

from client.node.home import SiteHome
from client.policy.refusal import PolicyError, Refusal, numbers
from client.policy.rules import Policy
from shared.errors import SiteError
from shared.storage.files import write_private
from shared.storage.json_file import DamagedFile, read_json, typed

Kind = Literal["run", "round", "query"]
HOUR = 3600.0
CUT_OFF_SECONDS = HOUR
"""What work counts for at most whose process was killed, so that its end is not known."""
_MOST_RUNS = 5000
_OF_TYPE: dict[str, Kind] = {"query": "run", "train": "round"}
_Count = Annotated[int, Meta(ge=0)]
_Seconds = Annotated[float, Meta(ge=0)]


@dataclass(frozen=True)
class Used:
    """Messages answered, and seconds of work."""

    runs: _Count
    rounds: _Count
    queries: _Count
    seconds: _Seconds

    def plus(self, kind: Kind | None, *, new_run: bool) -> Used:
        """The same count with one more."""
        return replace(
            self,
            runs=self.runs + new_run,
            rounds=self.rounds + (kind == "round"),
            queries=self.queries + (kind == "query"),
        )


_NOTHING = Used(runs=0, rounds=0, queries=0, seconds=0.0)


@dataclass(frozen=True)
class Account:
    """What is on the disk. No field has a default: a file that lacks one is damaged."""

    day: str
    today: Used
    in_all: Used
    seconds_of_run: dict[str, _Seconds]
    """By run, the latest last."""
    since: float | None
    """When the work began that is under way (seconds of the epoch), None where there is none."""
    run: str
    """Whose work that is."""


def kind_of(message_type: str) -> Kind:
    """What a message is charged as; everything but a round and a greeting is a query."""
    return _OF_TYPE.get(message_type, "query")


def charge(
    home: SiteHome, policy: Policy, site: str, run: str, kind: Kind,
    now: Callable[[], float] = time.time,
) -> float | None:  # fmt: skip
    """Take a message of a run on the account; the seconds that its work may take, None: any.

    Only the process that holds the site calls this. Raises PolicyError where a quota is used up,
    and SiteError where the account cannot be read or written.
    """
    account = _today(_settled(_read(home), now()), now())
    new = run not in account.seconds_of_run
    runs = {**account.seconds_of_run, run: account.seconds_of_run.get(run, 0.0)}
    account = replace(
        account,
        today=account.today.plus(kind, new_run=new),
        in_all=account.in_all.plus(kind, new_run=new),
        seconds_of_run=dict(list(runs.items())[-_MOST_RUNS:]),
        since=now(),
        run=run,
    )
    _require_within(policy, site, account)
    _write(home, account)
    left = [
        hours * HOUR - used
        for hours, used in (
            (policy.hours_per_day, account.today.seconds),
            (policy.hours_per_run, runs[run]),
        )
        if hours
    ]
    return min(left, default=None)


def settle(home: SiteHome, seconds: float) -> None:
    """Add the time of the work that was charged last, which has ended.

    `seconds` are of a clock that nobody sets: the time of day may jump by years while a machine
    that has just started finds it.
    """
    account = _read(home)
    if account.since is not None:
        _write(home, _worked(account, seconds))


def _settled(account: Account, now: float) -> Account:
    """Work whose end nobody noted: its process was killed."""
    if account.since is None:
        return account
    return _worked(account, min(max(0.0, now - account.since), CUT_OFF_SECONDS))


def _worked(account: Account, seconds: float) -> Account:
    of_run = account.seconds_of_run
    return replace(
        account,
        today=replace(account.today, seconds=account.today.seconds + seconds),
        in_all=replace(account.in_all, seconds=account.in_all.seconds + seconds),
        seconds_of_run={**of_run, account.run: of_run.get(account.run, 0.0) + seconds},
        since=None,
    )


def _today(account: Account, now: float) -> Account:
    day = datetime.fromtimestamp(now, UTC).date().isoformat()
    return account if day <= account.day else replace(account, day=day, today=_NOTHING)


def _require_within(policy: Policy, site: str, account: Account) -> None:
    """PolicyError where the message that was charged last is beyond a quota."""
    today, in_all = account.today, account.in_all
    hours = account.seconds_of_run[account.run] / HOUR
    checks = (
        ("runs-per-day", policy.runs_per_day, today.runs),
        ("rounds-per-day", policy.rounds_per_day, today.rounds),
        ("queries-per-day", policy.queries_per_day, today.queries),
        ("runs-in-all", policy.runs_in_all, in_all.runs),
        ("rounds-in-all", policy.rounds_in_all, in_all.rounds),
        ("queries-in-all", policy.queries_in_all, in_all.queries),
    )
    refusals = [
        Refusal(rule, numbers(limit), f"number {asked}")
        for rule, limit, asked in checks
        if asked > limit
    ]
    if 0 < policy.hours_per_day <= today.seconds / HOUR:
        refusals.append(Refusal("hours-per-day", numbers(policy.hours_per_day), "more"))
    if 0 < policy.hours_per_run <= hours:
        refusals.append(Refusal("hours-per-run", numbers(policy.hours_per_run), "more"))
    if refusals:
        raise PolicyError(site, refusals)


def _read(home: SiteHome) -> Account:
    try:
        return typed(read_json(home.quota), Account)
    except FileNotFoundError:
        return Account("", _NOTHING, _NOTHING, {}, since=None, run="")
    except (OSError, DamagedFile):
        raise SiteError(
            f"{home.quota} cannot be read, so it is not known how much this site has answered, and "
            "it answers nothing; restore it from a backup, or remove it to count from 0 again."
        ) from None


def _write(home: SiteHome, account: Account) -> None:
    try:
        write_private(home.quota, (json.dumps(asdict(account)) + "\n").encode())
    except OSError as error:
        raise SiteError(
            f"{home.quota} cannot be written ({error.strerror}); nothing is answered that is not "
            "counted first."
        ) from error
