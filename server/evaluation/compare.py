"""Asking the sites for the sums of a paired comparison."""

from __future__ import annotations

from collections.abc import Collection

from server.federation.context import Federation
from server.federation.messaging import Missing, send_and_collect
from server.federation.replies import error_reason
from shared.errors import ProtocolError
from shared.metrics.paired import PairedSums, placements
from shared.protocol.compare import MESSAGE_TYPE, CompareReply, CompareRequest


def ask_for_sums(
    federation: Federation, request: CompareRequest, sites: Collection[str]
) -> PairedSums:
    """The sums over these sites' patients; ProtocolError where one of them does not answer.

    Without all of them the pooled counts would be of other patients than the sums.
    """
    nodes = {n: s.name for n, s in federation.roster.sites.items() if s.name in sites}
    if missing := set(sites) - set(nodes.values()):
        raise ProtocolError(f"{', '.join(sorted(missing))} is not connected")
    total = PairedSums.empty(placements(request.pooled_a[0]), request.repeats)
    contents = dict.fromkeys(nodes, request.to_content())
    for node, message in send_and_collect(
        federation.grid, contents, federation.question(MESSAGE_TYPE, "compare"),
        look=federation.look, on_loss=federation.lost, check=federation.check,
    ):  # fmt: skip
        if isinstance(message, Missing):
            raise ProtocolError(f"{nodes[node]} did not answer: {message.reason}")
        if message.has_error():
            raise ProtocolError(f"{nodes[node]} failed: {error_reason(message)}")
        try:
            reply = CompareReply.from_content(message.content)
            total += reply.sums
        except (ProtocolError, ValueError) as error:
            raise ProtocolError(f"{nodes[node]} answered otherwise than asked: {error}") from error
        if reply.site != nodes[node]:
            raise ProtocolError(f"{nodes[node]} answered in another site's name")
    return total
