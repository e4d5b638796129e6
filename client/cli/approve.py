"""`fedthaw site approve` and `revoke`: what code and settings the site's owner lets run."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from client.node.approvals import approve as keep
from client.node.approvals import checked_digest, read_approvals
from client.node.approvals import revoke as drop
from client.node.enrolment import open_site_home
from client.node.home import SiteHome, site_home
from client.node.pending import Pending, find_pending, forget_pending, read_pending
from client.policy.rules import Policy
from client.settings import read_outcome, read_policy
from shared.audit.log import append, user
from shared.errors import SiteError
from shared.outcome.agreement import disagreement
from shared.settings.config import RunConfig
from shared.settings.file import given_settings
from shared.settings.overrides import OWN_OPTIONS
from shared.settings.parse import parse_run_config
from shared.settings.run_plan import SHOWN_DIGITS, approved_settings, plan_number
from shared.terminal.settings import ConfigOption, SetOption

Folder = Annotated[Path, typer.Argument(help="The site's folder, with its site.toml.")]
AnySettingsOption = Annotated[
    bool,
    typer.Option(
        "--any-settings-within-policy",
        help="Let this code run with all settings that the policy in site.toml allows.",
    ),
]


@dataclass(frozen=True)
class _GivenSettings:
    """The options that say which settings are approved; true where one is given."""

    assignments: list[str] | None
    file: Path | None
    any_within_policy: bool

    def __bool__(self) -> bool:
        return bool(self.assignments or self.file or self.any_within_policy)

    def config(self, folder: Path) -> RunConfig | None:
        """The settings, None for any within the policy; SiteError for none or for both."""
        if not self:
            raise SiteError(_which_settings(folder))
        if self.any_within_policy and (self.assignments or self.file):
            raise SiteError("Give either --set and --config or --any-settings-within-policy.")
        if self.any_within_policy:
            return None
        overrides = given_settings(self.file, self.assignments)
        if reserved := sorted(OWN_OPTIONS & overrides.keys()):
            raise SiteError(f"{', '.join(reserved)} cannot be approved by a site; leave it out.")
        return parse_run_config(overrides)


def approve(
    folder: Folder,
    number: Annotated[
        str | None,
        typer.Argument(
            metavar="[PLAN|HASH]",
            help="The plan of a waiting run, or the hash of a run's code (64 digits).",
        ),
    ] = None,
    installed: Annotated[
        bool, typer.Option("--installed", help="The code of the fedthaw installed here.")
    ] = False,
    settings: SetOption = None,
    config: ConfigOption = None,
    any_settings: AnySettingsOption = False,
    note: Annotated[str, typer.Option(help="Kept with the approval, for yourself.")] = "",
) -> None:
    """Let the coordinator run code on this site's data, with the settings that are shown.

    Example: fedthaw site approve hospitals/north

    Without PLAN or HASH it shows in plain words what is waiting and what is approved. PLAN approves
    one of these. A plan may be approved in advance: --installed (or HASH) with --set
    for each setting that is not the default, or --config. A running site uses the approval at once.
    """
    home = open_site_home(site_home(folder), joined=False)
    policy = read_policy(folder)
    given = _GivenSettings(settings, config, any_settings)
    if number is not None and installed:
        raise SiteError("Name only one of PLAN, HASH and --installed.")
    if number is None and not installed:
        if given:
            raise SiteError("Name the code that these settings are for: HASH or --installed.")
        _show(folder, home, policy)
        return
    found = None if number is None else find_pending(home, number)
    if found is not None:
        if given:
            raise SiteError(
                f"Plan {number} has its settings; leave --set, --config and --any-... out."
            )
        _approve(folder, home, policy, found.bundle, found.config, note)
        forget_pending(home, found.plan)
        return
    if number is not None and not given and _is_plan(number):
        _print_known(folder, home, number)
        return
    bundle = _own_bundle() if number is None else checked_digest(number)
    _approve(folder, home, policy, bundle, given.config(folder), note)


def revoke(
    folder: Folder,
    number: Annotated[
        str, typer.Argument(metavar="PLAN|HASH", help="The plan, or the hash of the code.")
    ],
) -> None:
    """Revoke the approval of a plan, or all approvals of the code with this hash.

    Example: fedthaw site revoke hospitals/north 5f0c...

    A plan that waits is declined: it is no longer listed, until a run asks for it again.
    """
    home = open_site_home(site_home(folder), joined=False)
    if (waiting := find_pending(home, number)) is not None:
        forget_pending(home, waiting.plan)
        _write_down(home, "plan turned down", name=number.lower())
        typer.echo(f"Declined: plan {number.lower()}. It is listed again if a run asks for it.")
        return
    count = drop(home, number)
    _write_down(home, "approval revoked", name=number.lower())
    plural = "s" if count > 1 else ""
    typer.echo(f"Revoked {count} approval{plural} of {number.lower()}; it no longer runs here.")


def _approve(
    folder: Path, home: SiteHome, policy: Policy, bundle: str, config: RunConfig | None, note: str
) -> None:
    approved = None if config is None else approved_settings(config)
    new = keep(home, bundle, approved, note)
    _write_down(home, "approved", bundle=bundle, settings=approved, note=note)
    what = "Approved" if new else "Already approved"
    if config is None or approved is None:
        typer.echo(f"{what}: code {bundle}, with any settings within [policy] of site.toml.")
    else:
        typer.echo(f"{what}: plan {plan_number(bundle, approved)[:SHOWN_DIGITS]}, code {bundle}.")
        _print_plan(folder, config, policy)
    _print_whose(bundle)


def _is_plan(number: str) -> bool:
    """Whether it has the form of a plan's number, which is shorter than a hash."""
    return bool(re.fullmatch(r"[0-9a-fA-F]{12,63}", number))


def _print_known(folder: Path, home: SiteHome, number: str) -> None:
    """Say that this plan, which does not wait, is approved; SiteError where it is not."""
    plans = [one.plan for one in read_approvals(home) if one.plan is not None]
    if not any(plan.startswith(number.lower()) for plan in plans):
        raise SiteError(
            f"No plan {number} waits here. A plan waits once the coordinator has asked this site "
            "for it, while `fedthaw site run` is running; `fedthaw site approve "
            f"{shlex.quote(str(folder))}` lists those that wait."
        )
    typer.echo(f"Already approved: plan {number.lower()}.")


def _write_down(home: SiteHome, event: str, **facts: object) -> None:
    append(home.audit, {"event": event, "by": user(os.environ), **facts})


def _show(folder: Path, home: SiteHome, policy: Policy) -> None:
    pending = read_pending(home)
    for one in pending:
        _print_pending(folder, policy, one)
    if not pending:
        typer.echo("No run waits for approval.")
    approvals = read_approvals(home)
    for approval in approvals:
        if approval.of_code_alone:
            typer.echo(
                f"Code {approval.bundle} was approved on {approval.when} without settings, by an "
                "earlier fedthaw; this no longer lets any run start. Approve the plans that wait, "
                "or the code with --any-settings-within-policy."
            )
            continue
        plan = approval.plan
        what = "any settings within policy" if plan is None else f"plan {plan[:SHOWN_DIGITS]}"
        note = f" ({approval.note})" if approval.note else ""
        typer.echo(f"Approved on {approval.when}: {what} of code {approval.bundle}{note}")


def _print_pending(folder: Path, policy: Policy, one: Pending) -> None:
    short = one.plan[:SHOWN_DIGITS]
    typer.echo(f"Plan {short} has waited since {one.when}, code {one.bundle}:")
    _print_plan(folder, one.config, policy)
    _print_whose(one.bundle)
    typer.echo(f"To approve it: fedthaw site approve {shlex.quote(str(folder))} {short}\n")


def _print_plan(folder: Path, config: RunConfig, policy: Policy) -> None:
    from client.policy.words import plan_in_words

    for sentence in (*plan_in_words(config, policy), *_other_outcome(folder, config)):
        typer.echo(f"  - {sentence}")


def _other_outcome(folder: Path, config: RunConfig) -> Iterator[str]:
    """What the owner should know before a run is approved that cannot train here."""
    with suppress(SiteError):  # said when the site is opened
        own = read_outcome(folder)
        if own != config.predicts:
            yield (
                f"IT CANNOT TRAIN HERE AS IT IS: your site.toml declares the outcome '{own}', and "
                f"the run predicts '{config.outcome}': {disagreement(str(own), config.outcome)}."
            )


def _print_whose(bundle: str) -> None:
    own = _own_bundle()
    typer.echo(
        "It is the code of the fedthaw installed here."
        if bundle == own
        else f"It is NOT the code of the fedthaw installed here, which is {own}. Ask the "
        "coordinator for its bundle and read it before you let it run on your data; "
        "`fedthaw site revoke` declines or withdraws it."
    )


def _own_bundle() -> str:
    from shared.run.bundle import build_bundle

    return build_bundle().digest


def _which_settings(folder: Path) -> str:
    return (
        "An approval covers code and settings. Say with which settings it may run: --set KEY=VALUE "
        "for each that is not the default (or --config FILE), or --any-settings-within-policy for "
        f"all that [policy] of site.toml allows. `fedthaw site approve {folder}` shows the plans "
        "that wait."
    )
