"""Waiting for sites before a round: for enough of them, and for those that are expected back."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from server.collect import POLL_SECONDS
from server.federation import Federation, patience, reply_timeout
from server.presence import Presence
from server.roster import admit, describe_refusals
from shared.errors import RunError, SiteError
from shared.events import SiteJoined, Warned, emit
from shared.protocol.describe import SiteDescription


def wait_for_sites(
    federation: Federation, expected: Collection[str] = ()
) -> dict[int, SiteDescription]:
    """The admitted sites that are connected, once there are `min-sites` of them.

    In a simulation all of its sites: an engine starts them one by one, and a run that began with
    the first ones would depend on chance. Those that are expected as well are waited for
    `reconnect-wait` seconds, or for as long as they are connected and read their images. Waits no
    longer than a round may take; RunError then, with what is known of the others.
    """
    config, roster = federation.config, federation.roster
    needed = config.simulated_sites or config.min_sites
    started = time.monotonic()
    told = False
    while True:
        federation.check()
        waited = time.monotonic() - started
        nodes = federation.look()
        _admit(federation, nodes)
        sites = roster.present(nodes)
        if config.sites and roster.refused:
            # Who names four folders wants four sites, and waiting would bring no further one.
            raise SiteError(describe_refusals(roster.refused))
        missing = set(expected) - {site.name for site in sites.values()}
        preparing = any(
            presence.name in missing and roster.is_awaited(node) for node, presence in nodes.items()
        )
        in_time = waited < reply_timeout(config)
        if len(sites) >= needed and not (
            missing and (waited < patience(config) or preparing) and in_time
        ):
            return sites
        if not in_time:
            raise RunError(_too_few_connected(federation, len(sites), needed))
        if not told:
            emit(Warned(_waiting(len(sites), needed, missing)))
            told = True
        time.sleep(POLL_SECONDS if config.sites else 4 * POLL_SECONDS)


def _admit(federation: Federation, nodes: Mapping[int, Presence]) -> None:
    roster = federation.roster
    before, known = set(roster.refused.values()), set(roster.sites)
    admit(
        federation.grid,
        roster,
        nodes,
        run=federation.run,
        base=federation.reference.base.digest,
        timeout=reply_timeout(federation.config),
    )
    if federation.config.sites:
        return  # a simulation ends with these sentences
    for node in sorted(set(roster.sites) - known):
        site = roster.sites[node]
        emit(SiteJoined(site.name))
    for sentence in sorted(set(roster.refused.values()) - before):
        emit(Warned(sentence))


def _waiting(present: int, needed: int, missing: Collection[str]) -> str:
    names = f" Not yet: {', '.join(sorted(missing))}." if missing else ""
    return f"Waiting for sites: {present} are there, at least {needed} are needed.{names}"


def _too_few_connected(federation: Federation, present: int, needed: int) -> str:
    refusals = describe_refusals(federation.roster.refused)
    least, advice = f"{needed} sites", "Flower's engine did not start the others in time."
    if not federation.config.sites:
        least = f"at least {needed} sites (min-sites)"
        advice = "Start the clients of the others, or lower min-sites."
    return (
        f"{present} of {least} can take part. {refusals or advice} "
        "What was done so far is kept; continue with --resume."
    )
