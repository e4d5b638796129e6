"""Asking every site that is there, and those that failed again, after the last round."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from flwr.app import RecordDict

from server.federation.asking import Problem
from server.federation.context import Federation
from server.federation.delivery import Delivery
from server.federation.downlink import Sending
from server.federation.quorum import wait_for_sites
from server.federation.replies import list_problems, require_usable_weights
from shared.errors import RunError
from shared.protocol.describe import SiteDescription
from shared.protocol.sent_model import SentModel
from shared.run.events import ReplyReceived, Warned, emit

T = TypeVar("T")


@dataclass(frozen=True)
class Ask(Generic[T]):
    """What is asked after the last round."""

    sending: Sending
    question: Callable[[SentModel], RecordDict]
    """The content of a message with this model."""
    message_type: str
    group: str
    after_round: int
    read: Callable[[SiteDescription, RecordDict], T]
    """ProtocolError where an answer breaks the contract."""
    done: str
    """What a site that answers has done, in words."""
    without: str
    """What a site that does not answer is not part of, in words."""


@dataclass(frozen=True)
class Answers(Generic[T]):
    """What the sites said, and what asking them took."""

    replies: Mapping[str, T]
    missing: Mapping[str, str]
    """Sites that did not answer, and why."""
    asked: int
    bytes_down: int
    bytes_up: int


def ask_everybody(
    federation: Federation, ask: Ask[T], expected: Collection[str] = ()
) -> Answers[T]:
    """What every site says that is there; one that fails is asked again `retries` times.

    RunError where fewer than `min-sites` answered, ReceivedDivergedError where most could not use
    the weights.
    """
    config = federation.config
    replies: dict[str, T] = {}
    missing: dict[str, str] = {}
    up = down = asked = 0
    for _ in range(config.retries + 1):
        here = wait_for_sites(federation, expected)
        missing = federation.excluded_of(here)
        sites = {
            n: site
            for n, site in here.items()
            if site.name not in replies and site.name not in federation.excluded
        }
        if not sites:
            break
        asked += len(sites)
        missing |= dict.fromkeys((site.name for site in sites.values()), "no reply in time")
        diverged: dict[str, str] = {}
        delivery = Delivery(sites, ask.sending, federation.downlink.seen, ask.question)
        up += _collect(federation, ask, delivery, replies, missing, diverged)
        down += delivery.bytes_down
        up += delivery.bytes_up
        require_usable_weights(diverged, len(sites), ask.after_round)
    if len(replies) < config.min_sites:
        raise RunError(
            f"{len(replies)} of at least {config.min_sites} sites {ask.done}. "
            f"{list_problems(missing)}. All rounds are kept: fix this and continue with --resume."
        )
    absent = {site.name for site in federation.roster.sites.values()} - set(replies)
    _, unable = federation.others(list(replies))
    missing = {name: unable.get(name, "not connected") for name in absent} | missing
    for name, why in sorted(missing.items()):
        emit(Warned(f"{name} is not in {ask.without}: {why.rstrip('.')}."))
    federation.downlink.sent(ask.sending, config, replies, ())
    return Answers(replies, missing, asked, down, up)


def _collect(
    federation: Federation,
    ask: Ask[T],
    delivery: Delivery,
    replies: dict[str, T],
    missing: dict[str, str],
    diverged: dict[str, str],
) -> int:
    """Ask these sites once and enter what they say; returns the bytes received.

    `diverged` are those of `missing` that the model is of no use to.
    """
    received, sites = 0, delivery.sites

    def read(node: int, content: RecordDict) -> T:
        return ask.read(sites[node], content)

    for answer in federation.ask(
        delivery.contents(), ask.message_type, ask.group, read, delivery.further
    ):
        name = sites[answer.node].name
        received += answer.bytes
        if isinstance(answer.said, Problem):
            missing[name] = answer.said.reason
            if answer.said.diverged:
                diverged[name] = answer.said.reason
        else:
            replies[name] = answer.said
            missing.pop(name)
        emit(ReplyReceived(name, missing.get(name)))
    return received
