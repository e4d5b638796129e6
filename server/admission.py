"""Which sites take part, and which of their replies are used."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from flwr.app import Message
from flwr.serverapp import Grid

from server.collect import send_and_collect
from shared.errors import ProtocolError
from shared.protocol.describe import MESSAGE_TYPE, DescribeRequest, SiteDescription
from shared.protocol.evaluate import EvaluateReply
from shared.protocol.train import TrainReply
from shared.replies import reader_owns_the_site
from shared.schedule import Plan
from shared.wire.arrays import Manifest

REASON_LIMIT = 2000
"""Characters of a site's error that are kept."""


@dataclass
class Roster:
    """The nodes of a run by what they said of themselves."""

    sites: dict[int, SiteDescription] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    """Why a node does not take part, as a sentence that names its site where that is known."""

    def present(self, nodes: Iterable[int]) -> dict[int, SiteDescription]:
        """The admitted sites among these nodes, in the order of their names.

        The order of sites decides the order of sums, and so the last bit of every average.
        """
        found = {node: self.sites[node] for node in nodes if node in self.sites}
        return dict(sorted(found.items(), key=lambda item: item[1].name))


def admit_new_nodes(
    grid: Grid, roster: Roster, nodes: Iterable[int], *, run: str, base: str, timeout: float
) -> None:
    """Ask nodes that are not on the roster who they are, and admit or refuse each.

    A node that does not answer, or answers with an error, is asked again next time.
    """
    connected = set(nodes)
    unknown = sorted(connected - set(roster.sites))
    content = DescribeRequest(run).to_content()
    replies = send_and_collect(
        grid, dict.fromkeys(unknown, content), MESSAGE_TYPE, "describe", timeout
    )
    for node in unknown:
        roster.refused[node] = f"Node {node} did not say within {timeout:g} s which site it is."
    # In the order of nodes, not of arrival: of two sites with one name always the same is refused.
    for node, reply in sorted(replies, key=lambda item: unknown.index(item[0])):
        problem = _admit(roster, node, reply, base, connected)
        if problem is None:
            del roster.refused[node]
        else:
            roster.refused[node] = problem


def _admit(
    roster: Roster, node: int, reply: Message, base: str, connected: Collection[int]
) -> str | None:
    """Enter a node on the roster, or say why not."""
    if reply.has_error():
        # Who runs the sites on this machine reads which folder it is, rather than a number.
        who = "" if reader_owns_the_site() else f"A site (node {node}) cannot take part: "
        return as_sentence(who + error_reason(reply))
    try:
        site = SiteDescription.from_content(reply.content)
    except ProtocolError as error:
        return f"Node {node} is refused: {error}."
    if site.base != base:
        return (
            f"Site {site.name} holds another pretrained base ({site.base}) than the coordinator "
            f"({base}); every site must load the same `weights` file: replace that site's copy, "
            "or correct weights in [compute] of its site.toml."
        )
    for namesake in [n for n, other in roster.sites.items() if other.name == site.name]:
        if namesake in connected:
            return (
                f"Two sites are called '{site.name}'; rename one of them in its site.toml "
                "([site] name)."
            )
        # A client that was started anew comes back as another node.
        del roster.sites[namesake]
    roster.sites[node] = site
    return None


def error_reason(reply: Message) -> str:
    """Why a site failed, in its own words: one printable line, as it goes to terminals and logs."""
    said = "".join(c if c.isprintable() else " " for c in reply.error.reason or "")
    return said[:REASON_LIMIT].strip().rstrip(".") or "it failed without a reason"


def read_train_reply(
    reply: Message, site: SiteDescription, plan: Plan, manifest: Manifest, frozen: str
) -> TrainReply:
    """A reply that keeps the contract; ProtocolError that says in what it does not."""
    if reply.has_error():
        raise ProtocolError(error_reason(reply))
    content = TrainReply.from_content(reply.content, manifest)
    if content.site != site.name:
        raise ProtocolError(f"it now calls itself '{content.site}'")
    if content.round != plan.round:
        raise ProtocolError(f"its reply is of round {content.round}, not {plan.round}")
    if content.frozen != frozen:
        raise ProtocolError("its frozen stages differ from the base")
    return content


def read_evaluate_reply(reply: Message, name: str) -> EvaluateReply:
    """A reply that keeps the contract; ProtocolError that says in what it does not."""
    if reply.has_error():
        raise ProtocolError(error_reason(reply))
    content = EvaluateReply.from_content(reply.content)
    if content.site != name:
        raise ProtocolError(f"it now calls itself '{content.site}'")
    return content


def describe_refusals(refused: Mapping[int, str]) -> str:
    """All refusals, one after the other."""
    return " ".join(refused[node] for node in sorted(refused))


def as_sentence(text: str) -> str:
    """The text with a full stop, unless it ends as a sentence already."""
    return text if text.endswith((".", "?")) else f"{text}."


def list_problems(problems: Mapping[str, str]) -> str:
    """`name: why; name: why`, sorted by name and without a full stop."""
    return "; ".join(f"{name}: {why.rstrip('.')}" for name, why in sorted(problems.items()))
