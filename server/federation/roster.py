"""Which sites take part: each is asked once who it is, while the rounds go on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flwr.app import Message
from flwr.serverapp import Grid

from server.federation.connected import Presence
from server.federation.plausible import require_plausible_site
from server.federation.replies import as_sentence, error_reason
from server.federation.transport import pull
from shared.errors import ProtocolError
from shared.outcome.agreement import disagreement
from shared.outcome.binary import BINARY
from shared.protocol.describe import MESSAGE_TYPE, DescribeRequest, SiteDescription
from shared.protocol.replies import reader_owns_the_site

ASK_AGAIN_SECONDS = (1.0, 2.0, 5.0, 10.0, 20.0)
"""After how long a refused site is asked again: its owner may have fixed what was wrong."""


READING = "it is still reading its images"
"""Of a connected site that has not answered yet."""


@dataclass
class _Asked:
    """A node that has been asked who it is."""

    presence: Presence
    """As it was when it was asked: a site that has gone since is held to its name all the same."""
    identifier: str | None
    """The message that is not answered yet."""
    refusals: int = 0
    again_at: float = 0.0
    reason: str = ""
    """Why it was refused last."""


@dataclass(frozen=True)
class _Refusal:
    """Why a node does not take part."""

    sentence: str
    """With its site, where that is known."""
    reason: str
    """To be read behind the site's name."""


@dataclass(frozen=True)
class Terms:
    """The run that sites are asked about; who says another base or outcome cannot take part."""

    run: str
    base: str
    """Digest of the pretrained weights."""
    outcome: str = BINARY.kind


@dataclass
class Roster:
    """The nodes of a run by what they said of themselves."""

    sites: dict[int, SiteDescription] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    """Why a node does not take part, as a sentence that names its site where that is known."""
    asked: dict[int, _Asked] = field(default_factory=dict)

    def present(self, nodes: Iterable[int]) -> dict[int, SiteDescription]:
        """The admitted sites among these nodes, in the order of their names.

        The order of sites decides the order of sums, and so the last bit of every average.
        """
        found = {node: self.sites[node] for node in nodes if node in self.sites}
        return dict(sorted(found.items(), key=lambda item: item[1].name))

    def unable(self, nodes: Mapping[int, Presence]) -> dict[str, str]:
        """Why connected registered sites do not take part yet, by their registered names."""
        admitted = {site.name for site in self.present(nodes).values()}
        reasons = {}
        for node, presence in sorted(nodes.items()):
            if presence.name is None or presence.name in admitted:
                continue
            if node in self.refused:
                reasons[presence.name] = self.asked[node].reason.rstrip(".")
            elif self.is_awaited(node):
                reasons[presence.name] = READING
        return dict(sorted(reasons.items()))

    def is_awaited(self, node: int) -> bool:
        """Whether this node has been asked and has not answered yet."""
        return node in self.asked and self.asked[node].identifier is not None


def admit(
    grid: Grid,
    roster: Roster,
    nodes: Mapping[int, Presence],
    terms: Terms,
    timeout: float,
) -> None:
    """Ask nodes that are not on the roster who they are, and enter what has been answered so far.

    Never waits: a site that reads its images for an hour, or that never answers, holds up nobody.
    """
    _ask(grid, roster, nodes, terms.run, timeout)
    # In the order of nodes, not of arrival: of two sites with one name always the same is refused.
    for node, reply in sorted(_answered(grid, roster).items()):
        _enter(roster, node, reply, terms, nodes)


def _answered(grid: Grid, roster: Roster) -> dict[int, Message]:
    """What has been answered so far, by node."""
    awaited = {
        asked.identifier: node
        for node, asked in sorted(roster.asked.items())
        if asked.identifier is not None
    }
    answers: dict[int, Message] = {}
    while awaited and (replies := pull(grid, list(awaited))):
        for reply in replies:
            node = awaited.pop(reply.metadata.reply_to_message_id, None)
            if node is not None:
                answers[node] = reply
    return answers


def _ask(
    grid: Grid, roster: Roster, nodes: Mapping[int, Presence], run: str, timeout: float
) -> None:
    now = time.monotonic()
    due = []
    for node in sorted(set(nodes) - set(roster.sites)):
        asked = roster.asked.get(node)
        restarted = asked is not None and asked.presence.activation != nodes[node].activation
        if asked is None or restarted or (asked.identifier is None and now >= asked.again_at):
            due.append(node)
    content = DescribeRequest(run).to_content()
    messages = [
        Message(
            content, dst_node_id=node, message_type=MESSAGE_TYPE, group_id="describe", ttl=timeout
        )
        for node in due
    ]
    identifiers = grid.push_messages(messages) if messages else []
    for node, identifier in zip(due, identifiers, strict=True):
        known = roster.asked.get(node)
        refusals, reason = (known.refusals, known.reason) if known else (0, "")
        roster.asked[node] = _Asked(nodes[node], identifier or None, refusals, reason=reason)


def _enter(
    roster: Roster,
    node: int,
    reply: Message,
    terms: Terms,
    nodes: Mapping[int, Presence],
) -> None:
    asked = roster.asked[node]
    asked.identifier = None
    refusal = _admit(roster, node, reply, terms, nodes)
    if refusal is None:
        roster.refused.pop(node, None)
        return
    roster.refused[node], asked.reason = refusal.sentence, refusal.reason
    wait = ASK_AGAIN_SECONDS[min(asked.refusals, len(ASK_AGAIN_SECONDS) - 1)]
    asked.refusals, asked.again_at = asked.refusals + 1, time.monotonic() + wait


def _admit(
    roster: Roster,
    node: int,
    reply: Message,
    terms: Terms,
    nodes: Mapping[int, Presence],
) -> _Refusal | None:
    """Enter a node on the roster, or say why not."""
    registered = roster.asked[node].presence.name
    if reply.has_error():
        reason = error_reason(reply)
        # Who runs the sites on this machine reads which folder it is, rather than a number.
        who = registered or f"A site (node {node})"
        begin = "" if reader_owns_the_site() else f"{who} cannot take part: "
        return _Refusal(as_sentence(begin + reason), reason)
    try:
        site = SiteDescription.from_content(reply.content)
    except ProtocolError as error:
        return _Refusal(f"{registered or f'Node {node}'} is refused: {error}.", str(error))
    if (refusal := _disagreement(site, registered, terms)) is not None:
        return refusal
    try:
        require_plausible_site(site)
    except ProtocolError as error:
        return _Refusal(f"Site {site.name} is refused: {error}.", f"it is refused: {error}")
    for namesake in [n for n, other in roster.sites.items() if other.name == site.name]:
        if namesake in nodes:
            why = f"'{site.name}'; rename one of them in its site.toml ([site] name)."
            return _Refusal(f"Two sites are called {why}", f"it is one of two called {why}")
        # A client that was restarted comes back as another node.
        del roster.sites[namesake]
    roster.sites[node] = site
    return None


def _disagreement(site: SiteDescription, registered: str | None, terms: Terms) -> _Refusal | None:
    """Why a site cannot take part that says another name, outcome or base than the run has."""
    if registered is not None and site.name != registered:
        why = (
            f"calls itself '{site.name}'; its "
            f'site.toml must say name = "{registered}" in [site], or register its key under the '
            "other name."
        )
        return _Refusal(f"The site that is registered as '{registered}' {why}", f"it {why}")
    if site.outcome != terms.outcome:
        why = (
            f"declares the outcome '{site.outcome}', and the run predicts '{terms.outcome}': "
            f"{disagreement(site.outcome, terms.outcome)}; correct [data] of its site.toml, or "
            "`outcome` of the run."
        )
        return _Refusal(f"Site {site.name} {why}", f"it {why}")
    if site.base != terms.base:
        why = (
            f"holds another pretrained base ({site.base}) than the coordinator "
            f"({terms.base}); every site must load the same `weights` file: replace that site's "
            "copy, or correct weights in [compute] of its site.toml."
        )
        return _Refusal(f"Site {site.name} {why}", f"it {why}")
    return None


def describe_refusals(refused: Mapping[int, str]) -> str:
    """All refusals, one after the other; once what holds for several sites, as on one machine."""
    return " ".join(dict.fromkeys(refused[node] for node in sorted(refused)))
