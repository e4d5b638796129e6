"""Asking every site that is there, and those that failed again, after the last round."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
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


@dataclass
class _Heard(Generic[T]):
    """What has been said so far, attempt by attempt."""

    replies: dict[str, T] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Of the last attempt: who did not answer, and why."""
    asked: int = 0
    bytes_down: int = 0
    bytes_up: int = 0


def ask_everybody(
    federation: Federation, ask: Ask[T], expected: Collection[str] = ()
) -> Answers[T]:
    """What every site says that is there; one that fails is asked again `retries` times.

    RunError where fewer than `min-sites` answered, ReceivedDivergedError where most could not use
    the weights.
    """
    config = federation.config
    heard: _Heard[T] = _Heard()
    for _ in range(config.retries + 1):
        here = wait_for_sites(federation, expected)
        heard.missing = federation.excluded_of(here)
        sites = {
            n: site
            for n, site in here.items()
            if site.name not in heard.replies and site.name not in federation.excluded
        }
        if not sites:
            break
        _attempt(federation, ask, sites, heard)
    replies = heard.replies
    if len(replies) < config.min_sites:
        raise RunError(
            f"{len(replies)} of at least {config.min_sites} sites {ask.done}. "
            f"{list_problems(heard.missing)}. All rounds are kept: fix this and continue with "
            "--resume."
        )
    absent = {site.name for site in federation.roster.sites.values()} - set(replies)
    _, unable = federation.others(list(replies))
    missing = {name: unable.get(name, "not connected") for name in absent} | heard.missing
    for name, why in sorted(missing.items()):
        emit(Warned(f"{name} is not in {ask.without}: {why.rstrip('.')}."))
    federation.downlink.sent(ask.sending, config, replies, ())
    return Answers(replies, missing, heard.asked, heard.bytes_down, heard.bytes_up)


def _attempt(
    federation: Federation,
    ask: Ask[T],
    sites: Mapping[int, SiteDescription],
    heard: _Heard[T],
) -> None:
    """Ask these sites once, and enter into `heard` what they say."""
    heard.asked += len(sites)
    heard.missing |= dict.fromkeys((site.name for site in sites.values()), "no reply in time")
    diverged: dict[str, str] = {}
    delivery = Delivery(sites, ask.sending, federation.downlink.seen, ask.question)

    def read(node: int, content: RecordDict) -> T:
        return ask.read(sites[node], content)

    for answer in federation.ask(
        delivery.contents(), ask.message_type, ask.group, read, delivery.further
    ):
        name = sites[answer.node].name
        heard.bytes_up += answer.bytes
        if isinstance(answer.said, Problem):
            heard.missing[name] = answer.said.reason
            if answer.said.diverged:
                diverged[name] = answer.said.reason
        else:
            heard.replies[name] = answer.said
            del heard.missing[name]
        emit(ReplyReceived(name, heard.missing.get(name)))
    heard.bytes_down += delivery.bytes_down
    heard.bytes_up += delivery.bytes_up
    require_usable_weights(diverged, len(sites), ask.after_round)
