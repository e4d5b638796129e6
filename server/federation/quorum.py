"""Waiting for sites before a round: for enough of them, and for those that are expected back."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence

from server.federation.connected import Presence
from server.federation.context import Federation, patience, reply_timeout
from server.federation.messaging import POLL_SECONDS
from server.federation.replies import list_problems
from server.federation.roster import READING, Terms, admit, describe_refusals
from shared.errors import ConfigError, RunError, SiteError
from shared.protocol.describe import SiteDescription
from shared.run.events import SiteJoined, SiteUnable, Warned, emit
from shared.settings.config import RunConfig


def require_enough_sites(config: RunConfig) -> None:
    """ConfigError where a simulation has fewer sites than a round needs: none will join."""
    sites = config.simulated_sites
    if 0 < sites < config.min_sites:
        raise ConfigError(
            f"min-sites is {config.min_sites}, but this simulation has only {sites} of them; "
            "lower min-sites, or name more site folders."
        )


def wait_for_sites(
    federation: Federation, expected: Collection[str] = ()
) -> dict[int, SiteDescription]:
    """The admitted sites that are connected, once there are `min-sites` that are asked.

    In a simulation all of its sites: an engine starts them one by one, and a run that began with
    the first ones would depend on chance. Those that are expected as well are waited for
    `reconnect-wait` seconds, or for as long as they are connected and read their images. Waits no
    longer than a round may take; RunError then, with what is known of the others.
    """
    config, roster = federation.config, federation.roster
    needed = config.simulated_sites or config.min_sites
    started = time.monotonic()
    last_warning = ""
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
        ready = len(_taking_part(federation, sites))
        preparing = any(
            presence.name in missing and roster.is_awaited(node) for node, presence in nodes.items()
        )
        in_time = waited < reply_timeout(config)
        if ready >= needed and not (
            missing and (waited < patience(config) or preparing) and in_time
        ):
            return sites
        if not in_time:
            raise RunError(_too_few(federation, ready, needed))
        if (text := _waiting(federation, sites, needed, missing)) != last_warning:
            # `server status` shows the last one for as long as the run waits.
            emit(Warned(text))
            last_warning = text
        time.sleep(POLL_SECONDS if config.sites else 4 * POLL_SECONDS)


def _taking_part(federation: Federation, sites: Mapping[int, SiteDescription]) -> list[str]:
    """Those of these sites that are asked; a simulation begins with all of its sites."""
    left_out = {} if federation.config.sites else federation.excluded
    return [site.name for site in sites.values() if site.name not in left_out]


def _admit(federation: Federation, nodes: Mapping[int, Presence]) -> None:
    roster = federation.roster
    before, known = dict(roster.refused), set(roster.sites)
    config = federation.config
    terms = Terms(federation.run, federation.reference.base.digest, config.outcome)
    admit(federation.grid, roster, nodes, terms, reply_timeout(config))
    if config.sites:
        return  # a simulation ends with these sentences
    for node in sorted(set(roster.sites) - known):
        site = roster.sites[node]
        emit(SiteJoined(site.name))
    for node, sentence in sorted(roster.refused.items()):
        if before.get(node) != sentence:
            asked = roster.asked[node]
            name, reason = asked.presence.name, asked.reason.rstrip(".")
            emit(Warned(sentence) if name is None else SiteUnable(name, sentence, reason))


def _waiting(
    federation: Federation,
    sites: Mapping[int, SiteDescription],
    needed: int,
    missing: Collection[str],
) -> str:
    least = f"{needed} required" if federation.config.sites else f"at least {needed} required"
    absent, unable = federation.others([site.name for site in sites.values()])
    unable |= federation.excluded_of(sites)
    away = _of_those_away(absent or sorted(set(missing) - unable.keys()), unable)
    return f"Waiting for sites: {len(_taking_part(federation, sites))} ready, {least}.{away}"


def _too_few(federation: Federation, ready: int, needed: int) -> str:
    """Why the run ends: who is missing, who is there and unable, and what to do about each."""
    kept = "What was done so far is kept; continue with --resume."
    if federation.config.sites:
        refusals = describe_refusals(federation.roster.refused)
        why = refusals or "Flower's engine did not start the others in time."
        return f"{ready} of {needed} sites can take part. {why} {kept}"
    nodes = federation.look()
    present = federation.roster.present(nodes)
    names = _taking_part(federation, present)
    absent, unable = federation.others([site.name for site in present.values()])
    unable |= federation.excluded_of(present)
    unnamed = [
        sentence
        for node, sentence in sorted(federation.roster.refused.items())
        if node in nodes and nodes[node].name is None
    ]
    advice = [
        *(["start `fedthaw site run` at those that are not connected"] if absent else ()),
        *(["fix what is wrong at those that cannot take part"] if unable or unnamed else ()),
        *(["register more sites"] if len(federation.registry()) < needed else ()),
        "lower min-sites",
    ]
    return (
        f"{ready} of at least {needed} sites (min-sites) can take part"
        f"{': ' + ', '.join(names) if names else ''}.{_of_those_away(absent, unable)} "
        f"{' '.join([*unnamed, _either(advice)])} {kept}"
    )


def _of_those_away(absent: Collection[str], unable: Mapping[str, str]) -> str:
    """Who is connected and cannot take part, with the reason of each, and who is not connected."""
    reading = [name for name, reason in unable.items() if reason == READING]
    others = {name: reason for name, reason in unable.items() if reason != READING}
    return "".join(
        [
            f" Connected, but unable to take part: {list_problems(others)}." if others else "",
            f" Still reading their images: {', '.join(reading)}." if reading else "",
            f" Not connected: {', '.join(absent)}." if absent else "",
        ]
    )


def _either(advice: Sequence[str]) -> str:
    *others, last = advice
    text = f"{', '.join(others)}, or {last}" if others else last
    return f"{text[0].upper()}{text[1:]}."
