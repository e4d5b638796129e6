"""Whether a message is worked on: asked of approvals, policy and quota, in this order, each time.

The owner may have taken an approval back, or changed site.toml, since the message before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from flwr.supercore.run import Run

from client.node.bundles import approved_bundle, require_digest
from client.node.home import SiteHome
from client.node.pending import require_approved
from client.node.quota import charge, kind_of
from client.node.resident import Limits
from client.policy.refusal import PolicyError, Refusal, numbers
from client.policy.rules import Policy
from client.policy.settings import refused_settings
from client.settings import read_policy, read_site_name
from shared.settings.config import RunConfig
from shared.settings.parse import parse_run_config
from shared.settings.run_plan import approved_settings, plan_number


@dataclass(frozen=True)
class Permit:
    """A message that is approved, allowed and charged."""

    site: str
    bundle: str
    plan: str
    """Number of the approved plan."""
    config: RunConfig
    """The run's settings, all of them: no default of the bundle's pyproject.toml has a say."""
    content: bytes
    """The bundle."""
    policy: Policy
    limits: Limits


def permit(
    home: SiteHome, folder: Path, run: Run, message_type: str, fetch: Callable[[], bytes]
) -> Permit:
    """Leave to work on a message of this run, which is charged; `fetch` brings the run's bundle.

    Raises ConfigError for settings that are not known here, SiteError where the owner has not
    approved them with this code, PolicyError where a rule or a quota of site.toml refuses them.
    """
    bundle = run.fab_hash
    require_digest(bundle)
    config = _settings(run)
    require_approved(home, bundle, config, folder)
    name, policy = read_site_name(folder), read_policy(folder)
    if refusals := refused_settings(policy, config):
        raise PolicyError(name, refusals)
    content = approved_bundle(home, bundle, fetch)
    plan = plan_number(bundle, approved_settings(config))
    seconds = charge(home, policy, name, _account_of(run, plan, config), kind_of(message_type))
    limits = Limits(int(policy.most_memory * 10**9) or None, seconds)
    return Permit(name, bundle, plan, config, content, policy, limits)


def beyond(given: Permit, what: str) -> PolicyError:
    """The error where the work took more memory or hours than the owner allows."""
    policy = given.policy
    memory = Refusal("most-memory", f"{numbers(policy.most_memory)} GB", "more")
    hours = f"{numbers(policy.hours_per_day)}, {numbers(policy.hours_per_run)}"
    time = Refusal("hours-per-day, hours-per-run", hours, "more")
    return PolicyError(given.site, [memory if what == "memory" else time])


def _account_of(run: Run, plan: str, config: RunConfig) -> str:
    """What counts as one run: a coordinator may call any number of folds and seeds by one number.

    The plan leaves both open, and they choose which patients train and which are evaluated.
    """
    return f"{run.run_id}-{plan}-{config.fold}-{config.seed}"


def _settings(run: Run) -> RunConfig:
    """Without what names folders of the coordinator's machine."""
    config = parse_run_config(run.override_config)
    return replace(config, out="", resume=False, sites="", pooled=False, tensorboard=False)
